//! Figures, as they are told to whoever encodes them.

/// What tells the values of a family apart: names and values.
pub type Labels = Vec<(&'static str, String)>;

/// Values that are called alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: Option<Unit>,
    pub(crate) values: Values,
}

/// The unit of a family's values; it ends the family's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// The values of a family, all of a kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// They only grow, from the start of the process.
    Counters(Vec<(Labels, f64)>),
    /// They are as they are now.
    Gauges(Vec<(Labels, f64)>),
    /// How what was observed is distributed.
    Distributions(Vec<(Labels, Distribution)>),
}

/// What was observed, by size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The sum of all that was observed.
    pub sum: f64,
    /// For each upper bound, in order, how many are within it and beyond the one before; the last bound is
    /// infinity.
    pub buckets: Vec<(f64, u64)>,
}

impl Family {
    /// A family without a unit. Names are lower case, without a unit and without `_total`: those are put behind.
    pub fn new(name: &'static str, help: &'static str, values: Values) -> Self {
        Self { name, help, unit: None, values }
    }

    /// The same family with a unit.
    pub fn with(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

impl Values {
    /// One counter.
    pub fn count(count: u64) -> Self {
        Self::Counters(vec![(Labels::new(), count as f64)])
    }

    /// One value as it is now.
    pub fn now(value: f64) -> Self {
        Self::Gauges(vec![(Labels::new(), value)])
    }

    /// One distribution.
    pub fn observed(distribution: Distribution) -> Self {
        Self::Distributions(vec![(Labels::new(), distribution)])
    }
}
