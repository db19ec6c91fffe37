//! Tasks that can not leave their thread, such as the connections of a vat, as tasks of the executor.
//!
//! The executor's tasks are `Send`, and a world has one thread. So the body of such a task stays in a table of its thread,
//! and the task is its number: whoever ends the task ends the body.

use futures::future::LocalBoxFuture;
use isx_port::Task;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
    /// A body that is being polled is not in it.
    static BODIES: RefCell<BTreeMap<u64, LocalBoxFuture<'static, ()>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A task over `body`, to be polled and dropped on this thread.
pub(crate) fn local(body: impl Future<Output = ()> + 'static) -> Task {
    let number = NEXT.replace(NEXT.get() + 1);
    BODIES.with_borrow_mut(|bodies| bodies.insert(number, Box::pin(body)));
    Box::pin(Local { number })
}

struct Local {
    number: u64,
}

impl Local {
    fn take(&self) -> Option<LocalBoxFuture<'static, ()>> {
        BODIES.with_borrow_mut(|bodies| bodies.remove(&self.number))
    }
}

impl Future for Local {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Out of the table while it is polled: it may begin and end others.
        let Some(mut body) = self.take() else {
            panic!("a local task is polled on the thread that made it, until it ends")
        };
        let polled = body.as_mut().poll(cx);
        if polled.is_pending() {
            BODIES.with_borrow_mut(|bodies| bodies.insert(self.number, body));
        }
        polled
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Out of the table before it is dropped, for the same reason. On a thread that ends there is no table any more.
        drop(BODIES.try_with(|bodies| bodies.borrow_mut().remove(&self.number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Executor, LaneTimes, Life, Random, Trace};
    use std::rc::Rc;
    use std::time::Duration;

    #[test]
    fn a_local_task_runs_and_ends_with_its_life() {
        let executor = Executor::new(Random::new(1), LaneTimes::default(), Trace::default());
        let (life, held) = (Life(1), Rc::new(Cell::new(0)));
        let (count, sleeper) = (held.clone(), executor.clone());
        let body = async move {
            loop {
                count.set(count.get() + 1);
                let next = sleeper.now() + Duration::from_secs(1);
                sleeper.sleep_until(life, next).await;
            }
        };
        executor.spawn(life, "local", local(body));
        executor.run_until(Duration::from_millis(2500));
        assert_eq!((held.get(), Rc::strong_count(&held)), (3, 2));
        executor.kill(life);
        assert_eq!(Rc::strong_count(&held), 1, "its body is dropped");
        executor.run_until(Duration::from_secs(9));
        assert_eq!(held.get(), 3);
    }
}
