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

/// The smallest of `values` that at least `percent` of them do not exceed; `NaN` if there are none.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let beyond = (0..count).find(|index| f64::from(index + 1) >= f64::from(count) * percent / 100.0);
    beyond.and_then(|index| sorted.get(index as usize)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert!((percentile(&values, 50.0) - 100.0).abs() < 1e-9);
        assert!((percentile(&values, 99.0) - 198.0).abs() < 1e-9);
        assert!((percentile(&values, 100.0) - 200.0).abs() < 1e-9);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
