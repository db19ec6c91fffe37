//! What callers follow: one thing after the other, until none comes or the first error, which is told.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use isx_row::Error;

/// What somebody follows.
pub(crate) trait Source: Send + 'static {
    /// What comes.
    type Item: Send + 'static;

    /// The next; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<Result<Self::Item, Error>>> + Send;
}

/// Everything that comes of a source.
pub(crate) fn stream<S: Source>(source: S) -> BoxStream<'static, Result<S::Item, Error>> {
    stream::unfold(Some(source), |source| async move {
        let mut source = source?;
        match source.next().await? {
            Ok(item) => Some((Ok(item), Some(source))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
