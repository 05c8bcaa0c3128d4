//! Documents that a user function may see.

/// A value that passed the rules. Only this crate can make one, so that whatever asks for it cannot be given an
/// unchecked document by mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Permitted<T>(T);

impl<T> Permitted<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// For the system user, whom no rule binds (rules-and-users 2.2). Never for anybody else.
    pub fn granted_without_rules_to_the_system_user(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The value itself.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The same value in another shape, made of nothing but itself; may only ever show less of it.
    pub fn map<U>(self, narrow: fn(T) -> U) -> Permitted<U> {
        Permitted(narrow(self.0))
    }

    pub(crate) fn try_map<U, E>(self, narrow: impl FnOnce(T) -> Result<U, E>) -> Result<Permitted<U>, E> {
        narrow(self.0).map(Permitted)
    }
}
