//! Medians over rounds.

/// The median of `values`; `NaN` if there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// Smallest and largest of `values`.
pub(crate) fn range(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// The median of the ratios of pairs measured one after the other.
pub(crate) fn median_ratio(values: &[f64], peers: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(peers).map(|(value, peer)| value / peer).collect();
    median(&ratios)
}
