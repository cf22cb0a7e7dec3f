//! Payloads at rest: format version, key id, nonce, then AES-256-GCM under a key of the subject.
//!
//! ```text
//! 1 byte version (1) | 8 bytes key id (big endian) | 12 bytes nonce | ciphertext and 16 bytes tag
//! ```
//! The header is authenticated. Destroying a subject's key makes everything sealed with it unreadable.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use uuid::Uuid;

use crate::hex;
use crate::resource_token::{Named, ResourceTokens, Shown};
use crate::task_link::TaskLinks;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 9;
const KEY_BYTES: usize = 32;

/// Why bytes could not be sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    #[error("sealed with format {0}, which this build does not know")]
    UnknownVersion(u8),
    #[error("sealed bytes are too short")]
    TooShort,
    #[error("sealed bytes were changed, or belong to another key")]
    NotAuthentic,
    #[error("the key {0} is not here: it was destroyed, or belongs to another master key")]
    NoKey(i64),
    #[error("the master key `{found}` is not in VALET_SECRET_KEY_FILE, whose current one is `{expected}`")]
    OtherMasterKey { found: String, expected: String },
    #[error("the system's random source failed")]
    NoRandomness,
}

/// A key that seals and opens, with the id under which it is stored.
pub struct DataKey {
    pub id: i64,
    key: LessSafeKey,
    random: SystemRandom,
}

impl DataKey {
    pub fn new(id: i64, secret: &[u8; KEY_BYTES]) -> Self {
        // A 32-byte secret is what AES-256-GCM takes; no other length reaches this line.
        let unbound = UnboundKey::new(&AES_256_GCM, secret).expect("a 32-byte key fits AES-256-GCM");
        Self { id, key: LessSafeKey::new(unbound), random: SystemRandom::new() }
    }

    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| CodecError::NoRandomness)?;
        let mut header = [VERSION; HEADER_BYTES];
        header[1..].copy_from_slice(&self.id.to_be_bytes());
        let mut sealed = Vec::with_capacity(HEADER_BYTES + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(header),
                &mut sealed[HEADER_BYTES + NONCE_LEN..],
            )
            .map_err(|_| CodecError::NotAuthentic)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, CodecError> {
        key_id(sealed)?;
        let (header, rest) = sealed.split_at(HEADER_BYTES);
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(CodecError::TooShort)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CodecError::TooShort)?;
        let mut body = body.to_vec();
        let plain =
            self.key.open_in_place(nonce, Aad::from(header), &mut body).map_err(|_| CodecError::NotAuthentic)?.len();
        body.truncate(plain);
        Ok(body)
    }
}

/// The id of the key that sealed these bytes.
pub fn key_id(sealed: &[u8]) -> Result<i64, CodecError> {
    let header: &[u8; HEADER_BYTES] = sealed.first_chunk().ok_or(CodecError::TooShort)?;
    if header[0] != VERSION {
        return Err(CodecError::UnknownVersion(header[0]));
    }
    let mut id = [0; 8];
    id.copy_from_slice(&header[1..]);
    Ok(i64::from_be_bytes(id))
}

/// The key that wraps data keys. Its name is a fingerprint, so that a wrong file is told apart from changed bytes.
pub struct MasterKey {
    pub name: String,
    /// Under a key that follows from this one.
    pub links: TaskLinks,
    /// The same.
    pub resources: ResourceTokens,
    key: DataKey,
}

impl MasterKey {
    pub fn new(secret: &[u8; KEY_BYTES]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, secret);
        let name = hex::encode(&digest.as_ref()[..6]);
        Self {
            name,
            links: TaskLinks::new(secret),
            resources: ResourceTokens::new(secret),
            key: DataKey::new(0, secret),
        }
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() != KEY_BYTES * 2 || !text.is_ascii() {
            return None;
        }
        let mut secret = [0; KEY_BYTES];
        for (i, byte) in secret.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).ok()?;
        }
        Some(Self::new(&secret))
    }

    /// A data key of an older master key, wrapped by this one.
    pub fn wrap_anew(&self, older: &Self, wrapped: &[u8]) -> Result<Vec<u8>, CodecError> {
        self.key.seal(&older.key.open(wrapped)?)
    }

    /// A new data key, wrapped for storage.
    pub fn new_wrapped_key(&self) -> Result<Vec<u8>, CodecError> {
        let mut secret = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| CodecError::NoRandomness)?;
        self.key.seal(&secret)
    }

    pub fn unwrap_key(&self, id: i64, wrapped: &[u8]) -> Result<DataKey, CodecError> {
        let secret: [u8; KEY_BYTES] = self.key.open(wrapped)?.try_into().map_err(|_| CodecError::NotAuthentic)?;
        Ok(DataKey::new(id, &secret))
    }
}

/// The master key in use, and older ones that still open what they wrapped, while it is wrapped anew.
pub struct MasterKeys {
    pub current: MasterKey,
    pub older: Vec<MasterKey>,
}

impl MasterKeys {
    /// One key a line, the current one first; empty lines and lines that begin with `#` are skipped.
    pub fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut keys = lines.map(MasterKey::parse).collect::<Option<Vec<_>>>()?;
        if keys.is_empty() {
            return None;
        }
        let current = keys.remove(0);
        Some(Self { current, older: keys })
    }

    fn all(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// The key with this fingerprint.
    pub fn named(&self, name: &str) -> Result<&MasterKey, CodecError> {
        self.all()
            .find(|key| key.name == name)
            .ok_or_else(|| CodecError::OtherMasterKey { found: name.to_owned(), expected: self.current.name.clone() })
    }

    /// The token with which a resource speaks of itself, under the current key.
    pub fn resource_token(&self, of: &Named<'_>) -> String {
        self.current.resources.token(of)
    }

    /// Whether it is right, under any key.
    pub fn is_token_of_resource(&self, of: &Named<'_>, shown: Shown<'_>) -> bool {
        self.all().any(|key| key.resources.is_right(of, shown))
    }

    /// The token of a task's link, under the current key.
    pub fn link_token(&self, task: Uuid) -> String {
        self.current.links.token(task)
    }

    /// The task that a link's token opens, under whichever key it was made.
    pub fn opened_by_link(&self, token: &str) -> Option<Uuid> {
        self.all().find_map(|key| key.links.opened_by(token))
    }
}

impl From<MasterKey> for MasterKeys {
    fn from(current: MasterKey) -> Self {
        Self { current, older: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_with_their_key_only() {
        let key = DataKey::new(7, &[1; 32]);
        let sealed = key.seal(b"a resume").unwrap();
        assert_eq!(key_id(&sealed), Ok(7));
        assert_eq!(key.open(&sealed).unwrap(), b"a resume");
        assert_eq!(DataKey::new(7, &[2; 32]).open(&sealed), Err(CodecError::NotAuthentic));
        assert!(!sealed.windows(6).any(|w| w == b"resume"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = DataKey::new(7, &[1; 32]);
        let sealed = key.seal(b"x").unwrap();
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(key.open(&changed).is_err(), "byte {i}");
        }
    }

    /// The best of many batches: what the machine does beside it is not the codec's.
    #[test]
    fn sealing_and_opening_a_kibibyte_take_less_than_5_us_each() {
        const TIMES: u32 = 200;
        let (key, plain) = (DataKey::new(7, &[1; 32]), [7_u8; 1024]);
        let sealed = key.seal(&plain).unwrap();
        let best = |work: &dyn Fn()| {
            let batch = || {
                let began = std::time::Instant::now();
                (0..TIMES).for_each(|_| work());
                began.elapsed() / TIMES
            };
            (0..50).map(|_| batch()).min().unwrap()
        };
        let seal = best(&|| drop(key.seal(&plain).unwrap()));
        let open = best(&|| drop(key.open(&sealed).unwrap()));
        eprintln!("sealing 1 KiB: {seal:?}; opening it: {open:?}");
        assert!(seal.as_micros() < 5 && open.as_micros() < 5, "{seal:?}, {open:?}");
    }

    #[test]
    fn short_and_foreign_bytes_are_refused_without_a_panic() {
        let key = DataKey::new(1, &[1; 32]);
        for n in 0..40 {
            assert!(key.open(&vec![1; n]).is_err());
        }
        assert_eq!(key.open(&[9; 60]), Err(CodecError::UnknownVersion(9)));
    }

    #[test]
    fn a_wrapped_key_unwraps_under_its_master_key_only() {
        let master = MasterKey::parse(&"ab".repeat(32)).unwrap();
        let wrapped = master.new_wrapped_key().unwrap();
        let sealed = master.unwrap_key(3, &wrapped).unwrap().seal(b"x").unwrap();
        assert_eq!(master.unwrap_key(3, &wrapped).unwrap().open(&sealed).unwrap(), b"x");
        assert!(MasterKey::parse(&"cd".repeat(32)).unwrap().unwrap_key(3, &wrapped).is_err());
        let rotated = MasterKeys::parse(&format!("# new\n{}\n\n{}\n", "cd".repeat(32), "ab".repeat(32))).unwrap();
        assert_eq!(rotated.named(&master.name).unwrap().name, master.name);
        let anew = rotated.current.wrap_anew(&rotated.older[0], &wrapped).unwrap();
        assert_eq!(
            rotated.current.unwrap_key(3, &anew).unwrap().open(&sealed).unwrap(),
            b"x",
            "the data key is the same"
        );
        assert_eq!(rotated.opened_by_link(&master.links.token(Uuid::from_u128(7))), Some(Uuid::from_u128(7)));
        assert!(
            MasterKeys::parse("# nothing").is_none() && MasterKeys::parse(&format!("{}\nx", "cd".repeat(32))).is_none()
        );
        assert!(MasterKey::parse("too short").is_none());
        assert!(MasterKey::parse(&"é".repeat(32)).is_none());
    }
}
