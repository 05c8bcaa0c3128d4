//! Passwords: argon2id, on threads where waiting is allowed, a few at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::AuthError;

/// Characters of a password (rules-and-users 4.3).
const CHARACTERS: std::ops::RangeInclusive<usize> = 6..=128;

/// What one hash costs (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Default for HashingCost {
    /// The least that OWASP's cheat sheet on password storage recommends: some 20 ms of a core.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Hashes passwords, a few at a time and off the threads that answer calls, so that whoever sends many passwords holds up
/// nobody but others who send passwords. Clones share the queue.
#[derive(Clone)]
pub struct HashingQueue(Arc<Queue>);

struct Queue {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl HashingQueue {
    /// A queue that hashes `at_once_max` passwords at a time while at most `waiting_max` others wait.
    ///
    /// # Errors
    /// A cost that argon2 does not allow.
    pub fn new(cost: HashingCost, at_once_max: usize, waiting_max: usize) -> Result<Self, AuthError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)
            .map_err(|error| AuthError::Internal(format!("password hashing: {error}")))?;
        Ok(Self(Arc::new(Queue {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(at_once_max.max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
        })))
    }

    /// The hash of a new password, with its salt and cost (a PHC string).
    pub(crate) async fn hash(&self, password: &str) -> Result<String, AuthError> {
        let password = password.to_owned();
        self.run(move |argon2| {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| AuthError::Internal(error.to_string()))?;
            let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt).map_err(failed)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password has this hash. Without a hash the answer is no, after the same work.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, AuthError> {
        let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
        self.run(move |argon2| match hash {
            Some(hash) => {
                let hash = PasswordHash::new(&hash).map_err(failed)?;
                Ok(argon2.verify_password(password.as_bytes(), &hash).is_ok())
            }
            None => {
                let mut output = [0; 32];
                let salt = [0; 16];
                argon2
                    .hash_password_into(password.as_bytes(), &salt, &mut output)
                    .map_err(|error| AuthError::Internal(format!("password hashing: {error}")))?;
                // Compared only so that nothing of the work above is found to be superfluous.
                let _ = std::hint::black_box(output.ct_eq(&[0; 32]));
                Ok(false)
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let permit = self.permit().await?;
        let queue = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            // Held until the work is done even when whoever asked has gone away.
            let _permit = permit;
            work(&queue.argon2)
        })
        .await
        .map_err(|error| AuthError::Internal(format!("password hashing: {error}")))?
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, AuthError> {
        let queue = &self.0;
        if let Ok(permit) = Arc::clone(&queue.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&queue.waiting, queue.waiting_max)?;
        let permit = Arc::clone(&queue.permits).acquire_owned().await;
        permit.map_err(|_| AuthError::Internal("the queue of passwords is closed".to_owned()))
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, waiting_max: usize) -> Result<Self, AuthError> {
        let place = Self(waiting);
        match waiting.fetch_add(1, Ordering::Relaxed) < waiting_max {
            true => Ok(place),
            false => Err(AuthError::Busy),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for HashingQueue {
    /// Half of the cores, so that the other half stays with the calls.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::new(HashingCost::default(), cores / 2, 128).expect("the default cost is one that argon2 allows")
    }
}

impl fmt::Debug for HashingQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashingQueue")
    }
}

fn failed(error: impl fmt::Display) -> AuthError {
    AuthError::Internal(format!("password hashing: {error}"))
}

/// Whether a password may be set (rules-and-users 4.3).
///
/// # Errors
/// `PasswordLength`.
pub(crate) fn check_new_password(password: &str) -> Result<(), AuthError> {
    match CHARACTERS.contains(&password.chars().count()) {
        true => Ok(()),
        false => Err(AuthError::PasswordLength),
    }
}

/// Whether a password could be anybody's; what is longer is not worth the work.
pub(crate) fn may_be_password(password: &str) -> bool {
    password.len() <= CHARACTERS.end() * 4
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cheap(at_once_max: usize, waiting_max: usize) -> HashingQueue {
        HashingQueue::new(HashingCost { memory_kib: 64, passes: 1 }, at_once_max, waiting_max).expect("a queue")
    }

    #[tokio::test]
    async fn only_the_password_has_the_hash() {
        let queue = HashingQueue::default();
        let hash = queue.hash("correct horse").await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(queue.verify("correct horse", Some(&hash)).await.expect("verified"));
        assert!(!queue.verify("correct horsf", Some(&hash)).await.expect("verified"));
        assert!(!queue.verify("correct horse", None).await.expect("verified"));
        assert_ne!(queue.hash("correct horse").await.expect("a hash"), hash, "every hash has a salt of its own");
        assert!(matches!(queue.verify("x", Some("plain text")).await, Err(AuthError::Internal(_))));
    }

    #[tokio::test]
    async fn the_queue_has_an_end() {
        let queue = cheap(1, 2);
        let held = queue.permit().await.expect("the first permit");
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.hash("secret1").await })
            })
            .collect();
        while queue.0.waiting.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(queue.hash("secret1").await, Err(AuthError::Busy)));
        drop(held);
        for task in waiting {
            task.await.expect("no panic").expect("a hash");
        }
        queue.hash("secret1").await.expect("places come back");
    }

    #[test]
    fn lengths() {
        for (password, allowed) in [
            ("", false),
            ("12345", false),
            ("123456", true),
            ("äöüßéx", true),
            (&*"x".repeat(128), true),
            (&*"x".repeat(129), false),
        ] {
            assert_eq!(check_new_password(password).is_ok(), allowed, "{password}");
        }
    }
}
