//! What long work says while it goes on.

/// One step of long work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is being done, such as `downloading 90 packages`.
    pub doing: String,
    /// How much is done, and how much there is, in bytes or things, where that is known.
    pub share: Option<(u64, u64)>,
}

/// Hears of every step. Called often; it must be quick.
pub type Progress<'a> = dyn Fn(Step) + 'a;

/// A step without a share.
pub(crate) fn step(progress: &Progress<'_>, doing: impl Into<String>) {
    progress(Step { doing: doing.into(), share: None });
}
