//! A client of PostgreSQL's protocol that keeps all that the server says: rows that came before an
//! error, every field of errors and notices, COPY data. Drivers drop some of it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// What is kept of the rows of one statement; the rest is only counted.
const KEPT_BYTES: usize = 4 << 20;
/// A server that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to connect.
#[derive(Clone, Debug)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// The server that PGHOST and PGPORT name.
    pub fn of_environment() -> Address {
        let variable = |name| {
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set; run: tools/adversary"))
        };
        Address {
            host: variable("PGHOST"),
            port: variable("PGPORT").parse().expect("PGPORT is a number"),
        }
    }

    fn open(&self) -> io::Result<Stream> {
        if self.host.starts_with('/') {
            let path = Path::new(&self.host).join(format!(".s.PGSQL.{}", self.port));
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Stream::Unix(stream))
        } else {
            let stream = TcpStream::connect((self.host.as_str(), self.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
    }
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(buffer),
            Stream::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error or a notice, field by field, by PostgreSQL's letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<(char, String)>);

impl Report {
    pub fn field(&self, letter: char) -> &str {
        let found = self.0.iter().find(|(of, _)| *of == letter);
        found.map_or("", |(_, text)| text)
    }

    pub fn code(&self) -> &str {
        self.field('C')
    }

    pub fn message(&self) -> &str {
        self.field('M')
    }
}

/// All that came in answer to a request.
#[derive(Debug, Default)]
pub struct Reply {
    /// The columns of each row as text, NULL as None.
    pub rows: Vec<Vec<Option<String>>>,
    pub row_count: u64,
    pub copied: String,
    pub notices: Vec<Report>,
    pub errors: Vec<Report>,
    /// The connection is gone.
    pub lost: bool,
    kept: usize,
}

impl Reply {
    /// The first error.
    pub fn error(&self) -> Option<&Report> {
        self.errors.first()
    }

    pub fn code(&self) -> &str {
        self.error().map_or("", Report::code)
    }

    /// Every text in it, with the place where it was found.
    pub fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = self.rows.iter().flatten().flatten();
        let rows = values.map(|text| ("row", text.as_str()));
        let copied = std::iter::once(("COPY", self.copied.as_str()));
        let notices = self.notices.iter().flat_map(|notice| &notice.0);
        let notices = notices.map(|(_, text)| ("notice", text.as_str()));
        let errors = self.errors.iter().flat_map(|error| &error.0);
        let errors = errors.map(|(_, text)| ("error", text.as_str()));
        rows.chain(copied).chain(notices).chain(errors)
    }

    /// The first column of the only row.
    pub fn value(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

/// A connection as one role.
pub struct Wire {
    stream: Stream,
    address: Address,
    key: [u8; 8],
    /// I: idle, T: in a transaction, E: in a failed one.
    pub status: char,
}

impl Wire {
    pub fn connect(
        address: &Address,
        role: &str,
        database: &str,
        options: &str,
    ) -> Result<Wire, String> {
        let stream = address.open().map_err(|error| error.to_string())?;
        let mut wire = Wire {
            stream,
            address: address.clone(),
            key: [0; 8],
            status: '?',
        };
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for (name, value) in [
            ("user", role),
            ("database", database),
            ("application_name", "deskguard-adversary"),
            ("client_encoding", "UTF8"),
            ("options", options),
        ] {
            text(&mut body, name);
            text(&mut body, value);
        }
        body.push(0);
        let mut message = (body.len() as i32 + 4).to_be_bytes().to_vec();
        message.extend(body);
        wire.stream
            .write_all(&message)
            .map_err(|error| error.to_string())?;
        let reply = wire.read_until_ready(1);
        match (reply.error(), reply.lost) {
            (Some(error), _) => Err(format!("{}: {}", error.code(), error.message())),
            (None, true) => Err("the connection was closed".into()),
            (None, false) => Ok(wire),
        }
    }

    /// One or several statements by the simple protocol.
    pub fn query(&mut self, sql: &str) -> Reply {
        let mut message = Vec::new();
        push(&mut message, b'Q', |body| text(body, sql));
        self.exchange(&message, 1)
    }

    /// A statement with parameters by the extended protocol; results come as text.
    pub fn extended(&mut self, sql: &str, parameters: &[Option<String>]) -> Reply {
        let mut message = Vec::new();
        parse_and_bind(&mut message, "", sql, parameters);
        execute(&mut message, "", 0);
        push(&mut message, b'S', |_| ());
        self.exchange(&message, 1)
    }

    /// Parses and binds only: the portal is run later.
    pub fn bind(&mut self, portal: &str, sql: &str, parameters: &[Option<String>]) -> Reply {
        let mut message = Vec::new();
        parse_and_bind(&mut message, portal, sql, parameters);
        push(&mut message, b'S', |_| ());
        self.exchange(&message, 1)
    }

    /// Fetches so many rows of a portal; 0: all.
    pub fn fetch(&mut self, portal: &str, rows: i32) -> Reply {
        let mut message = Vec::new();
        execute(&mut message, portal, rows);
        push(&mut message, b'S', |_| ());
        self.exchange(&message, 1)
    }

    /// Asks the server, in a while, to cancel what this connection does then.
    pub fn cancel_after(&self, wait: Duration) -> thread::JoinHandle<()> {
        let (address, key) = (self.address.clone(), self.key);
        thread::spawn(move || {
            thread::sleep(wait);
            if let Ok(mut stream) = address.open() {
                let mut message = 16_i32.to_be_bytes().to_vec();
                message.extend(80_877_102_i32.to_be_bytes());
                message.extend(key);
                // The server closes the connection when it has sent the signal.
                let _ = stream.write_all(&message);
                let _ = stream.read(&mut [0]);
            }
        })
    }

    fn exchange(&mut self, message: &[u8], ready: usize) -> Reply {
        match self.stream.write_all(message) {
            Ok(()) => self.read_until_ready(ready),
            // What it said before it closed the connection may still be there.
            Err(_) => {
                let mut reply = self.read_until_ready(usize::MAX);
                reply.lost = true;
                reply
            }
        }
    }

    fn read_until_ready(&mut self, mut ready: usize) -> Reply {
        let mut reply = Reply::default();
        while ready > 0 {
            match self.read_message(&mut reply) {
                Ok(true) => ready -= 1,
                Ok(false) => {}
                Err(_) => {
                    reply.lost = true;
                    break;
                }
            }
        }
        reply
    }

    /// True if the server is ready for the next request.
    fn read_message(&mut self, reply: &mut Reply) -> io::Result<bool> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        match head[0] {
            b'Z' => {
                self.status = char::from(body[0]);
                return Ok(true);
            }
            b'D' => {
                reply.row_count += 1;
                reply.kept += length;
                if reply.kept < KEPT_BYTES {
                    reply.rows.push(columns(&body));
                }
            }
            b'd' => {
                reply.kept += length;
                if reply.kept < KEPT_BYTES {
                    reply.copied += &String::from_utf8_lossy(&body);
                }
            }
            b'E' => reply.errors.push(report(&body)),
            b'N' => {
                reply.kept += length;
                if reply.kept < KEPT_BYTES {
                    reply.notices.push(report(&body));
                }
            }
            b'K' => self.key.copy_from_slice(&body[..8]),
            // Nothing is copied into the server.
            b'G' => {
                let mut message = Vec::new();
                push(&mut message, b'f', |body| text(body, "nothing to copy"));
                self.stream.write_all(&message)?;
            }
            // Parse and Bind complete, row descriptions, command tags, parameters, authentication.
            _ => {}
        }
        Ok(false)
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|byte| *byte != 0));
    body.push(0);
}

fn push(message: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    message.push(kind);
    message.extend((body.len() as i32 + 4).to_be_bytes());
    message.extend(body);
}

fn parse_and_bind(message: &mut Vec<u8>, portal: &str, sql: &str, parameters: &[Option<String>]) {
    push(message, b'P', |body| {
        text(body, "");
        text(body, sql);
        body.extend(0_i16.to_be_bytes());
    });
    push(message, b'B', |body| {
        text(body, portal);
        text(body, "");
        body.extend(0_i16.to_be_bytes());
        body.extend((parameters.len() as i16).to_be_bytes());
        for parameter in parameters {
            match parameter {
                Some(value) => {
                    body.extend((value.len() as i32).to_be_bytes());
                    body.extend(value.bytes());
                }
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
        body.extend(0_i16.to_be_bytes());
    });
}

fn execute(message: &mut Vec<u8>, portal: &str, rows: i32) {
    push(message, b'E', |body| {
        text(body, portal);
        body.extend(rows.to_be_bytes());
    });
}

fn columns(body: &[u8]) -> Vec<Option<String>> {
    let count = i16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_at(4);
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        rest = after;
        columns.push(usize::try_from(length).ok().map(|length| {
            let (value, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        }));
    }
    columns
}

fn report(body: &[u8]) -> Report {
    let fields = body.split(|byte| *byte == 0);
    let fields = fields.filter_map(|field| {
        let (letter, text) = field.split_first()?;
        Some((
            char::from(*letter),
            String::from_utf8_lossy(text).into_owned(),
        ))
    });
    Report(fields.collect())
}
