//! Hash maps that are the same everywhere, and lines for people.

use isx::{Map, QueryContext, ReducerContext, Set};

/// Says a text in every way there is.
#[isx::reducer(public)]
fn say(_ctx: &ReducerContext, text: String) {
    log::error!("{text} 1");
    log::warn!("{text} 2");
    log::info!("{text} 3");
    log::debug!("{text} 4");
    log::trace!("{text} 5");
    log::info!("as it is");
    isx::log!(warn, "{text} of isx");
}

/// The words in the order of a set of them; twice, in a set each.
#[isx::query(public)]
fn in_order_of_sets(_ctx: &QueryContext, words: Vec<String>) -> Vec<Vec<String>> {
    let set = || words.iter().cloned().collect::<Set<_>>().into_iter().collect();
    vec![set(), set()]
}

/// How often each word comes, in the order of a map.
#[isx::reducer(public)]
fn counted(_ctx: &ReducerContext, words: Vec<String>) -> Vec<(String, u64)> {
    let mut counts = Map::default();
    words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    counts.into_iter().collect()
}
