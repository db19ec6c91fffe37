//! Figures: a line each, with target and verdict.

use std::time::Duration;

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Target {
    /// It has none: what others are compared with.
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// Prints a figure.
pub fn print(name: &str, value: f64, unit: &str, target: Target) {
    let (target, verdict) = match target {
        Target::None => (String::new(), ""),
        Target::AtMost(most) => (format!("at most {}", number(most)), verdict(value <= most)),
        Target::AtLeast(least) => (format!("at least {}", number(least)), verdict(value >= least)),
    };
    println!("  {name:<64} {:>10} {unit:<10} {target:<16} {verdict}", number(value));
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Three digits, more where there are more before the point.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which this part of the values lies; zero of none.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let place = (last as f64 * part).ceil() as usize;
    values.get(place.min(last)).copied().unwrap_or(0.0)
}

/// The value in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
