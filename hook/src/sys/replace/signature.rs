//! Detached signatures as `minisign` and `signify -z`-alikes make them, checked by a library.

use anyhow::{bail, Context, Result};
use minisign_verify::{PublicKey, Signature};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A key or a signature is a few lines.
const MOST: u64 = 64 << 10;
const CHUNK: usize = 256 << 10;

/// Whether the holder of the key has signed these bytes; what it says is wrong otherwise.
pub fn check(file: &File, signature: &Path, key: &Path) -> Result<()> {
    let key_text = text(key)?;
    let public = PublicKey::decode(&key_text)
        .or_else(|_| PublicKey::from_base64(key_text.trim()))
        .map_err(|error| anyhow::anyhow!("{}: no public key of minisign: {error}", key.display()))?;
    let signed = Signature::decode(&text(signature)?)
        .map_err(|error| anyhow::anyhow!("{}: no signature of minisign: {error}", signature.display()))?;
    let wrong =
        |error| anyhow::anyhow!("{} is no signature of these bytes by {}: {error}", signature.display(), key.display());
    let mut verifier = public.verify_stream(&signed).map_err(wrong)?;
    let (mut chunk, mut offset) = (vec![0; CHUNK], 0);
    loop {
        match file.read_at(&mut chunk, offset).context("read what is signed")? {
            0 => break,
            read => {
                verifier.update(&chunk[..read]);
                offset += read as u64;
            }
        }
    }
    verifier.finalize().map_err(wrong)
}

fn text(path: &Path) -> Result<String> {
    let bytes = crate::sys::input::file(path, MOST).with_context(|| path.display().to_string())?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => bail!("{}: no text", path.display()),
    }
}
