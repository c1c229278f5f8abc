//! A database for tests, with headers as rpm writes them.

use reexec_plugin_paths::trial::TestRoot;
use rusqlite::{params, Connection};

/// With merged /usr and without a database.
pub fn bare() -> TestRoot {
    let root = TestRoot::new("");
    root.merge(&["lib"]);
    root
}

/// With these packages in its database, numbered from 1.
pub fn with(packages: &[Package]) -> TestRoot {
    let root = bare();
    database(&root, "var/lib/rpm", packages);
    root
}

/// Writes a database into this folder and keeps it open, as a transaction does.
pub fn database(root: &TestRoot, folder: &str, packages: &[Package]) -> Connection {
    std::fs::create_dir_all(root.path().join(folder)).expect("folder");
    let connection = Connection::open(root.path().join(folder).join("rpmdb.sqlite")).expect("open");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
                 CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
                 CREATE TABLE 'Name' (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);
                 CREATE TABLE 'Providename' (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);
                 CREATE TABLE 'Basenames' (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);
                 CREATE TABLE 'Installtid' (key BLOB NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);",
        )
        .expect("tables");
    packages.iter().for_each(|package| package.insert(&connection));
    connection
}

/// A package to be.
#[derive(Debug, Clone)]
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    pub architecture: &'static str,
    pub epoch: Option<u32>,
    pub transaction: u32,
    /// sha256, unless it is to be that of old packages: none said, which means md5.
    pub algorithm: Option<u32>,
    pub files: Vec<File>,
    pub requires: &'static [&'static str],
    /// Besides its own name.
    pub provides: &'static [&'static str],
}

/// A file of a package: path, digest, state, flags, mode.
#[derive(Debug, Clone)]
pub struct File(pub Vec<u8>, pub &'static str, pub u8, pub u32, pub u16);

/// A plain file.
pub fn file(path: impl AsRef<[u8]>, digest: &'static str) -> File {
    File(path.as_ref().to_vec(), digest, 0, 0, 0o100_644)
}

/// A package for this machine.
pub fn package(name: &'static str, version: &'static str, transaction: u32, files: &[File]) -> Package {
    let architecture = std::env::consts::ARCH;
    Package {
        name,
        version,
        architecture,
        epoch: None,
        transaction,
        algorithm: Some(8),
        files: files.to_vec(),
        requires: &[],
        provides: &[],
    }
}

impl Package {
    fn insert(&self, to: &Connection) {
        to.execute("INSERT INTO Packages (blob) VALUES (?1)", params![self.blob()]).expect("package");
        let number = to.last_insert_rowid();
        let text = |bytes: &[u8]| rusqlite::types::Value::Blob(bytes.to_vec());
        to.execute("INSERT INTO Name VALUES (?1, ?2, 0)", params![self.name, number]).expect("name");
        for capability in std::iter::once(&self.name).chain(self.provides) {
            to.execute("INSERT INTO Providename VALUES (?1, ?2, 0)", params![capability, number]).expect("provides");
        }
        to.execute("INSERT INTO Installtid VALUES (?1, ?2, 0)", params![self.transaction.to_le_bytes(), number])
            .expect("transaction");
        for (index, file) in self.files.iter().enumerate() {
            let index = i64::try_from(index).expect("few");
            to.execute(
                "INSERT INTO Basenames VALUES (CAST(?1 AS TEXT), ?2, ?3)",
                params![text(split(file).1), number, index],
            )
            .expect("file");
        }
    }

    /// The header: what was built, then what rpm adds on installation.
    pub fn blob(&self) -> Vec<u8> {
        let mut header = Builder::default();
        let (version, release) = self.version.split_once('-').expect("a release");
        let strings = |all: &[&[u8]]| all.iter().flat_map(|one| [one, &b"\0"[..]].concat()).collect::<Vec<u8>>();
        header.add(63, 7, 16, vec![0; 16]);
        for (tag, text) in [(1000, self.name), (1001, version), (1002, release), (1022, self.architecture)] {
            header.add(tag, 6, 1, strings(&[text.as_bytes()]));
        }
        let mut folders: Vec<&[u8]> = Vec::new();
        let mut of = Vec::new();
        for file in &self.files {
            let folder = split(file).0;
            let at = folders.iter().position(|known| *known == folder).unwrap_or_else(|| {
                folders.push(folder);
                folders.len() - 1
            });
            of.extend((at as u32).to_be_bytes());
        }
        let count = self.files.len();
        let names: Vec<&[u8]> = self.files.iter().map(|file| split(file).1).collect();
        let digests: Vec<&[u8]> = self.files.iter().map(|file| file.1.as_bytes()).collect();
        header.add(1030, 3, count, self.files.iter().flat_map(|file| file.4.to_be_bytes()).collect());
        header.add(1035, 8, count, strings(&digests));
        header.add(1037, 4, count, self.files.iter().flat_map(|file| file.3.to_be_bytes()).collect());
        let requires: Vec<&[u8]> = self.requires.iter().map(|name| name.as_bytes()).collect();
        header.add(1049, 8, requires.len(), strings(&requires));
        header.add(1116, 4, count, of);
        header.add(1117, 8, count, strings(&names));
        header.add(1118, 8, folders.len(), strings(&folders));
        if let Some(epoch) = self.epoch {
            header.add(1003, 4, 1, epoch.to_be_bytes().to_vec());
        }
        if let Some(algorithm) = self.algorithm {
            header.add(5011, 4, 1, algorithm.to_be_bytes().to_vec());
        }
        header.add(1008, 4, 1, (self.transaction + 1).to_be_bytes().to_vec());
        header.add(1128, 4, 1, self.transaction.to_be_bytes().to_vec());
        header.add(1029, 1, count, self.files.iter().map(|file| file.2).collect());
        header.blob()
    }
}

fn split(file: &File) -> (&[u8], &[u8]) {
    let at = file.0.iter().rposition(|byte| *byte == b'/').expect("a path") + 1;
    file.0.split_at(at)
}

#[derive(Default)]
struct Builder {
    index: Vec<u8>,
    data: Vec<u8>,
    entries: u32,
}

impl Builder {
    fn add(&mut self, tag: u32, kind: u32, count: usize, data: Vec<u8>) {
        let offset = self.data.len() as u32;
        for field in [tag, kind, offset, count as u32] {
            self.index.extend(field.to_be_bytes());
        }
        self.data.extend(data);
        self.entries += 1;
    }

    fn blob(self) -> Vec<u8> {
        let size = self.data.len() as u32;
        [&self.entries.to_be_bytes()[..], &size.to_be_bytes(), &self.index, &self.data].concat()
    }
}
