//! Another server, made from the one under test.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use deskguard_tests::server::Database;
use postgres::{Client, Config, NoTls};

/// Not that of the server under test, which is in another folder anyway.
pub const PORT: u16 = 5433;

/// A server with the same databases and programs. It stops and is removed with this value.
pub struct ServerCopy {
    folder: PathBuf,
    /// Whom the server under test runs as.
    user: (u32, u32),
}

impl ServerCopy {
    /// `backup`: more arguments of pg_basebackup, `options`: of the server.
    pub fn start(name: &str, backup: &[&str], options: &str) -> Result<ServerCopy, String> {
        let primary = env::var("PGHOST").expect("PGHOST is the server's socket folder");
        let data = fs::metadata(Path::new(&primary).join("data"))
            .or_else(|_| fs::metadata(&primary))
            .map_err(|error| format!("{primary}: {error}"))?;
        // The path of a socket must be short.
        let folder = PathBuf::from(format!("/tmp/deskguard-{name}-{}", process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let copy = ServerCopy {
            folder,
            user: (data.uid(), data.gid()),
        };
        let owned = fs::set_permissions(&copy.folder, fs::Permissions::from_mode(0o700))
            .and_then(|()| chown(&copy.folder, Some(data.uid()), Some(data.gid())));
        owned.map_err(|error| format!("{}: {error}", copy.folder.display()))?;

        let data = copy.data();
        let arguments = ["-c", "fast", "-X", "stream", "-D", &data];
        copy.run("pg_basebackup", &[&arguments, backup].concat())?;
        let socket = copy.folder.display();
        let options = format!("-p {PORT} -k {socket} -c listen_addresses='' {options}");
        let log = format!("{socket}/log");
        copy.run(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-o", &options, "-w", "start"],
        )
        .map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("{error}\n{log}")
        })?;
        Ok(copy)
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.display())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let bin = env::var("DESKGUARD_PG_BIN").expect("DESKGUARD_PG_BIN is the folder of pg_ctl");
        let mut command = Command::new(Path::new(&bin).join(program));
        command.args(arguments).current_dir("/");
        // What pg_ctl starts must not keep the pipes of this process open.
        let output = self.folder.join("output");
        let to = |file: io::Result<fs::File>| file.map_err(|error| error.to_string());
        let file = to(fs::File::create(&output))?;
        command.stdout(to(file.try_clone())?).stderr(file);
        // PostgreSQL does not run as root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.uid(self.user.0).gid(self.user.1);
        }
        let status = command
            .status()
            .map_err(|error| format!("{program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let output = fs::read_to_string(&output).unwrap_or_default();
        Err(format!("{program}: {status}\n{output}"))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn connect(&self, database: &Database, role: &str) -> Client {
        Config::new()
            .host_path(&self.folder)
            .port(PORT)
            .user(role)
            .dbname(database.name())
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting to the copy as {role}: {error:?}"))
    }
}

impl Drop for ServerCopy {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&data).join("postmaster.pid").exists()
            && let Err(error) = self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"])
        {
            eprintln!("{data}: the server does not stop: {error}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
