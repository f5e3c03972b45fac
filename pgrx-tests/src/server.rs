//! The server under test, databases of its own for each test, and the roles that connect.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once};

use postgres::{Client, Config, NoTls};

/// The application's login role: trusted to say which agent it acts for.
pub const APP: &str = "deskguard_test_app";
/// Owns tables, and is nobody in the help desk.
pub const OWNER: &str = "deskguard_test_owner";
/// A login role that is neither trusted nor an agent.
pub const STRANGER: &str = "deskguard_test_stranger";
/// Login roles to be mapped to agents; `APP` is a member of them.
pub const MAPPED: [&str; 2] = ["deskguard_test_report", "Deskguard \"Test\" Röle"];

const LOCK_TIMEOUT: &str = "-c lock_timeout=20s";

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set. These tests need a server: run `make test`, or start a cluster \
             with the extension installed and set PGHOST (socket folder), PGPORT, \
             PGUSER (a superuser), PGDATABASE and DESKGUARD_PG_BIN (folder of pg_dump and psql)."
        )
    })
}

/// A server to connect to: the one under test, or one of [`Cluster`].
#[derive(Clone)]
pub struct Server {
    host: String,
    /// Where its programs are.
    bin: PathBuf,
    /// LD_LIBRARY_PATH for them.
    libraries: Option<String>,
}

impl Server {
    pub fn under_test() -> Server {
        Server {
            host: variable("PGHOST"),
            bin: variable("DESKGUARD_PG_BIN").into(),
            libraries: env::var("LD_LIBRARY_PATH").ok(),
        }
    }

    fn config(&self, role: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(variable("PGPORT").parse().expect("PGPORT is a number"))
            .user(role)
            .dbname(database)
            // A test that waits for itself fails rather than hangs.
            .options(LOCK_TIMEOUT)
            .application_name("deskguard-tests");
        config
    }

    fn maintenance(&self) -> Client {
        self.config(&superuser(), &variable("PGDATABASE"))
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("no connection to the server under test: {error}"))
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.env("PGHOST", &self.host).env("PGUSER", superuser());
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Roles belong to the whole cluster: made once, kept for the next run.
    pub fn make_roles(&self) {
        let mut client = self.maintenance();
        let mut script = String::from("BEGIN; SELECT pg_advisory_xact_lock(7242);");
        for role in [APP, OWNER, STRANGER].iter().chain(&MAPPED) {
            script += &format!(
                "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) \
                 THEN CREATE ROLE {} LOGIN; END IF; END $$;",
                crate::literal(role),
                crate::ident(role)
            );
        }
        for role in MAPPED {
            script += &format!("GRANT {} TO {APP};", crate::ident(role));
        }
        client.batch_execute(&(script + "COMMIT")).unwrap();
    }
}

fn superuser() -> String {
    variable("PGUSER")
}

/// A database that lasts as long as this value.
pub struct Database {
    name: String,
    server: Server,
}

impl Database {
    pub fn empty(label: &str) -> Self {
        static ROLES: Once = Once::new();
        let server = Server::under_test();
        ROLES.call_once(|| server.make_roles());
        Database::empty_on(server, label)
    }

    /// On a server that has the roles.
    pub fn empty_on(server: Server, label: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deskguard_{label}_{}_{number}", std::process::id());
        // template0: nobody can be connected to it, so tests may do this at the same time.
        server
            .maintenance()
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
            .unwrap();
        Database { name, server }
    }

    /// A new database with the extension, where `APP` is trusted.
    pub fn with_deskguard(label: &str) -> Self {
        Database::empty(label).add_deskguard()
    }

    pub fn add_deskguard(self) -> Self {
        let database = self;
        database
            .superuser()
            .batch_execute(&format!(
                "CREATE EXTENSION deskguard; \
                 INSERT INTO deskguard.trusted_role (role_name) VALUES ('{APP}'); \
                 GRANT EXECUTE ON FUNCTION deskguard.protect_tickets, deskguard.protect_messages, \
                     deskguard.protect_feature, deskguard.protect_shared, deskguard.unprotect, \
                     deskguard.create_help_desk TO {OWNER}"
            ))
            .unwrap_or_else(|error| panic!("CREATE EXTENSION deskguard: {error:?}"));
        database
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn superuser(&self) -> Client {
        self.connect(&superuser())
    }

    pub fn connect(&self, role: &str) -> Client {
        self.server
            .config(role, &self.name)
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting as {role}: {error:?}"))
    }

    /// Connects with options of the server's command line (`-c name=value`).
    pub fn try_connect(&self, role: &str, options: &str) -> Result<Client, postgres::Error> {
        let options = format!("{LOCK_TIMEOUT} {options}");
        let mut config = self.server.config(role, &self.name);
        config.options(&options).connect(NoTls)
    }

    /// Connects and collects what the server says besides answers, as "WARNING: text".
    pub fn connect_and_listen(&self, role: &str) -> (Client, Notices) {
        let notices = Notices::default();
        let heard = notices.clone();
        let client = self
            .server
            .config(role, &self.name)
            .notice_callback(move |notice| {
                let line = format!("{}: {}", notice.severity(), notice.message());
                heard.0.lock().unwrap().push(line);
            })
            .connect(NoTls)
            .unwrap();
        (client, notices)
    }

    /// The tables of this database as pg_dump has them, but for the extension's own data.
    pub fn dump(&self) -> String {
        let output = self
            .program("pg_dump")
            .arg("--exclude-schema=deskguard*")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let dump = String::from_utf8(output.stdout).unwrap();
        // Newer releases put a random key there.
        let lines = dump.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A client program of its server, connected to this database as superuser.
    pub fn program(&self, name: &str) -> Command {
        let mut command = self.server.program(name);
        command.env("PGDATABASE", &self.name);
        command
    }

    /// Where the database is now, if its server was upgraded.
    pub fn moved_to(&mut self, server: Server) {
        self.server = server;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = self.server.maintenance().batch_execute(&drop)
            && !std::thread::panicking()
        {
            panic!("{drop}: {error}");
        }
    }
}

/// A cluster of its own, for as long as this value lasts.
pub struct Cluster {
    folder: String,
    server: Server,
}

impl Cluster {
    /// Of the same major as the server under test.
    pub fn start(settings: &[&str]) -> Cluster {
        Cluster::of(&major(), settings)
    }

    pub fn of(major: &str, settings: &[&str]) -> Cluster {
        Cluster::made_by(Self::tool().args(["start", major]).args(settings))
    }

    /// The same cluster as another major has it, by pg_upgrade.
    pub fn upgraded_to(self, major: &str) -> Cluster {
        let upgraded = Cluster::made_by(Self::tool().args(["upgrade", &self.folder, major]));
        // It is the same folder, to be removed once.
        std::mem::forget(self);
        upgraded
    }

    /// By a command that prints the variables of a cluster.
    fn made_by(command: &mut Command) -> Cluster {
        let output = command.output().expect("tools/cluster can be run");
        assert!(output.status.success(), "{command:?}: {output:?}");
        // Lines of `export NAME=VALUE …`; its values need no quotes.
        let printed = String::from_utf8(output.stdout).unwrap();
        let find = |name: &str| {
            let mut words = printed.split_whitespace();
            let found = words.find_map(|word| word.strip_prefix(&format!("{name}=")));
            found.map(String::from)
        };
        let value = |name| find(name).unwrap_or_else(|| panic!("no {name} in: {printed}"));
        Cluster {
            folder: value("DESKGUARD_CLUSTER"),
            server: Server {
                host: value("PGHOST"),
                bin: value("DESKGUARD_PG_BIN").into(),
                libraries: find("LD_LIBRARY_PATH"),
            },
        }
    }

    fn tool() -> Command {
        Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tools/cluster"))
    }

    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// To its database `postgres`.
    pub fn connect(&self, role: &str) -> Client {
        self.server
            .config(role, "postgres")
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting as {role}: {error:?}"))
    }

    pub fn superuser(&self) -> Client {
        self.connect("postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = Self::tool().args(["stop", &self.folder]).status();
        if !stopped.is_ok_and(|status| status.success()) && !std::thread::panicking() {
            panic!("{} was not stopped", self.folder);
        }
    }
}

/// What pg_config of the server under test says.
fn pg_config(option: &str) -> String {
    let path = PathBuf::from(variable("DESKGUARD_PG_BIN")).join("pg_config");
    let output = Command::new(path).arg(option).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn major() -> String {
    let version = pg_config("--version");
    let number = version
        .split_whitespace()
        .nth(1)
        .expect("PostgreSQL and its version");
    number.split('.').next().expect("a number").into()
}

/// Has the server this library?
pub fn has_library(name: &str) -> bool {
    let folder = PathBuf::from(pg_config("--pkglibdir"));
    folder.join(format!("{name}.so")).exists()
}

/// What a connection was told besides answers.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    pub fn warnings(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let is_warning = |line: &&String| line.starts_with("WARNING");
        lines.iter().filter(is_warning).cloned().collect()
    }

    /// All that came since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
