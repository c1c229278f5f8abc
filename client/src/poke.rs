//! "Look now": what any local user may say to the update service (`reexec watch`). It installs only what its
//! own sources have, and not more often than the admin allows.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the update service listens.
pub const SOCKET: &str = "/run/reexec-watch.socket";

/// Asks the update service to look for something new. Never blocks; an error where no service listens.
pub fn look_now() -> io::Result<()> {
    look_now_at(Path::new(SOCKET))
}

/// The same, where the service listens elsewhere.
pub fn look_now_at(socket: &Path) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    match own.send_to(b"!", socket) {
        // Others have asked, and were not heard yet: one look is for all.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        sent => sent.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_full_queue_is_as_good_as_a_place_in_it() {
        let folder = Scratch::new("poke");
        let path = folder.join("socket");
        assert_eq!(look_now_at(&path).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        let service = UnixDatagram::bind(&path).expect("bind");
        for _ in 0..1000 {
            look_now_at(&path).expect("asked");
        }
        let mut byte = [0; 2];
        assert_eq!(service.recv(&mut byte).expect("a byte"), 1);
    }
}
