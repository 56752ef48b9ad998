//! Secrets: made here, sealed here, and never printed.

use std::{
    io::{ErrorKind, Read, Write},
    path::Path,
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Digest, Sha256};

/// A value that must not reach a log: its `Debug` shows nothing, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, where it is really needed.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret: what is stored of it.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// `length` random characters of `0-9A-Za-z`.
pub fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let random = SystemRandom::new();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random.fill(&mut bytes).expect("the system's random numbers are always there");
        // Bytes of the incomplete last round are dropped, or the first letters would come up more often.
        let even = bytes.iter().filter(|&&byte| byte < 248).map(|&byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(even.take(length - text.len()));
    }
    text
}

/// Seals provider credentials under the key of one file.
pub struct Vault(LessSafeKey);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// Why the key file cannot be used; one line that names it.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It cannot be read or made.
    #[error("cannot use the key file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It holds something else.
    #[error("the key file {path} holds {length} bytes instead of 32: it is no key of Sluice")]
    Length {
        /// The file.
        path: String,
        /// Its length in bytes.
        length: usize,
    },
    /// Others could read it.
    #[error("the key file {path} can be read by others (mode {mode:04o}): run chmod 600 {path}")]
    Open {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
}

const KEY_LENGTH: usize = 32;

impl Vault {
    /// Reads the key from `path`; makes the file, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// [`VaultError`] when it cannot be read or made, is of the wrong size, or can be read by others.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let shown = || path.display().to_string();
        let failed = |cause| VaultError::File { path: shown(), cause };
        match Self::create(path) {
            Ok(vault) => return Ok(vault),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A read-only folder is fine as long as the file is there.
            Err(error) if !path.exists() => return Err(failed(error)),
            Err(_) => {}
        }
        let mut file = std::fs::File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(VaultError::Open { path: shown(), mode });
            }
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(4096).read_to_end(&mut bytes).map_err(failed)?;
        Self::from_key(&bytes).ok_or_else(|| VaultError::Length { path: shown(), length: bytes.len() })
    }

    /// A vault under these 32 bytes; `None` for any other number of them.
    pub fn from_key(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Made beside its place and linked to it, so that of two processes that start at once one wins and no one ever
    /// reads half a key.
    fn create(path: &Path) -> std::io::Result<Self> {
        if path.exists() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder)?;
        }
        let mut key = [0; KEY_LENGTH];
        SystemRandom::new().fill(&mut key).expect("the system's random numbers are always there");
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", random_text(8)));
        let draft = Path::new(&name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let made = options.open(draft).and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::hard_link(draft, path)
        });
        drop(std::fs::remove_file(draft));
        made?;
        Ok(Self::from_key(&key).expect("it has 32 bytes"))
    }

    /// Seals `text`; `context` says what it is for, and must be the same when it is opened.
    pub fn seal(&self, text: &str, context: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).expect("the system's random numbers are always there");
        let mut sealed = text.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .expect("a credential is far shorter than what can be sealed");
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        out
    }

    /// Opens what [`Self::seal`] made; `None` if it was sealed under another key or for something else, or was changed.
    pub fn open_sealed(&self, sealed: &[u8], context: &str) -> Option<Secret<String>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::from(context), &mut bytes).ok()?;
        String::from_utf8(text.to_vec()).ok().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_sealed_opens_only_with_the_same_key_for_the_same_thing() {
        let vault = Vault::from_key(&[1; 32]).unwrap();
        let sealed = vault.seal("sk-upstream", "p1");
        assert_eq!(vault.open_sealed(&sealed, "p1"), Some(Secret::new("sk-upstream".to_owned())));
        assert_eq!(vault.open_sealed(&sealed, "p2"), None);
        assert_eq!(Vault::from_key(&[2; 32]).unwrap().open_sealed(&sealed, "p1"), None);
        assert_eq!(vault.open_sealed(&sealed[..5], "p1"), None);
        assert_ne!(vault.seal("sk-upstream", "p1"), sealed);
        assert!(!sealed.windows(8).any(|it| it == b"upstream"));
        assert_eq!(format!("{:?}", Secret::new("x")), "Secret(…)");
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret.key");
        let sealed = Vault::open(&path).unwrap().seal("x", "");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Vault::open(&path).unwrap().open_sealed(&sealed, "").is_some());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let message = Vault::open(&path).unwrap_err().to_string();
        assert!(message.contains("can be read by others (mode 0644)"), "{message}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        let message = Vault::open(&path).unwrap_err().to_string();
        assert!(message.contains("5 bytes instead of 32") && !message.contains('\n'), "{message}");
    }

    #[test]
    fn random_text_is_of_the_alphabet() {
        let text = random_text(500);
        assert!(text.len() == 500 && text.bytes().all(|it| it.is_ascii_alphanumeric()));
        assert_ne!(text, random_text(500));
    }
}
