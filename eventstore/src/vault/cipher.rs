//! AES-256-GCM with a random nonce in front of the ciphertext.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::VaultError;

pub(super) const KEY_BYTES: usize = 32;

pub(super) struct Cipher(RandomizedNonceKey);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    pub(super) fn new(key: &[u8]) -> Result<Self, VaultError> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(Cipher)
            .map_err(|_| VaultError::Cipher)
    }

    /// Seals `plaintext`; `context` is not contained in the result but is needed to open it.
    pub(super) fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = plaintext.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(context), &mut sealed)
            .map_err(|_| VaultError::Cipher)?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// `None`: not sealed under this key and context.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut rest)
            .ok()?
            .len();
        rest.truncate(length);
        Some(rest)
    }
}

pub(super) fn random_key() -> Result<[u8; KEY_BYTES], VaultError> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| VaultError::Cipher)?;
    Ok(key)
}
