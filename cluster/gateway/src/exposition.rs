//! The text in which figures are served: OpenMetrics 1.0.0, which Prometheus reads.

use crate::figures::{Family, Labels, Unit, Values};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{self, Registry};
use std::fmt;

/// The content type of what [`text`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures as text.
///
/// # Errors
/// None but of a formatter, and strings have none.
pub(crate) fn text(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures(families)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Figures(Vec<Family>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let unit = family.unit.map(|unit| match unit {
                Unit::Seconds => registry::Unit::Seconds,
                Unit::Bytes => registry::Unit::Bytes,
            });
            let kind = match family.values {
                Values::Counters(_) => MetricType::Counter,
                Values::Gauges(_) => MetricType::Gauge,
                Values::Distributions(_) => MetricType::Histogram,
            };
            let metric = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            match &family.values {
                Values::Counters(values) => each(metric, values, |value, one| ConstCounter::new(*value).encode(one))?,
                Values::Gauges(values) => each(metric, values, |value, one| ConstGauge::new(*value).encode(one))?,
                Values::Distributions(values) => each(metric, values, |one, mut metric| {
                    let count = one.buckets.iter().map(|(_, count)| count).sum();
                    metric.encode_histogram::<NoLabelSet>(one.sum, count, &one.buckets, None)
                })?,
            }
        }
        Ok(())
    }
}

fn each<T>(
    mut metric: MetricEncoder<'_>,
    values: &[(Labels, T)],
    encode: impl Fn(&T, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    match values {
        // Without braces: not every reader takes empty ones.
        [(labels, value)] if labels.is_empty() => encode(value, metric),
        _ => values.iter().try_for_each(|(labels, value)| encode(value, metric.encode_family(labels)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Distribution;
    use expect_test::expect;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let label = |path: &str| vec![("mount", path.to_string()), ("outcome", "ok".to_string())];
        let buckets = vec![(0.001, 2), (0.01, 0), (f64::INFINITY, 1)];
        let families = vec![
            Family::new("isx_calls", "Calls.", Values::Counters(vec![(label("/a"), 3.0), (label("/b\"\n\\"), 4.0)])),
            Family::new("isx_state", "State.", Values::now(12.5)).with(Unit::Bytes),
            Family::new("isx_sync", "Syncs.", Values::observed(Distribution { sum: 0.5, buckets })).with(Unit::Seconds),
        ];
        expect![[r#"
            # HELP isx_calls Calls.
            # TYPE isx_calls counter
            isx_calls_total{mount="/a",outcome="ok"} 3.0
            isx_calls_total{mount="/b\"\n\\",outcome="ok"} 4.0
            # HELP isx_state_bytes State.
            # TYPE isx_state_bytes gauge
            # UNIT isx_state_bytes bytes
            isx_state_bytes 12.5
            # HELP isx_sync_seconds Syncs.
            # TYPE isx_sync_seconds histogram
            # UNIT isx_sync_seconds seconds
            isx_sync_seconds_sum 0.5
            isx_sync_seconds_count 3
            isx_sync_seconds_bucket{le="0.001"} 2
            isx_sync_seconds_bucket{le="0.01"} 2
            isx_sync_seconds_bucket{le="+Inf"} 3
            # EOF
        "#]]
        .assert_eq(&text(families).unwrap());
    }
}
