//! What a client's settings must be like.

use super::ClientConfig;

impl ClientConfig {
    /// Every setting that cannot work, each with its key (as `breaker.pause_ms`) and what would be right; none if all
    /// can.
    pub fn faults(&self) -> Vec<String> {
        let (breaker, ejection, retry) = (&self.breaker, &self.ejection, &self.retry);
        let hedge_delay = self.hedge.delay_ms.unwrap_or(1);
        let numbers = [
            ("slow_start_ms", self.slow_start_ms, 0, 3_600_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, 600_000),
            ("keep_alive_interval_ms", self.keep_alive_interval_ms, 0, 3_600_000),
            ("keep_alive_timeout_ms", self.keep_alive_timeout_ms, 1, 600_000),
            ("breaker.window_ms", breaker.window_ms, 1, 3_600_000),
            ("breaker.minimum_volume", breaker.minimum_volume, 1, 1_000_000_000),
            ("breaker.pause_ms", breaker.pause_ms, 1, 3_600_000),
            ("breaker.longest_pause_ms", breaker.longest_pause_ms, breaker.pause_ms.max(1), 3_600_000),
            ("breaker.probes", breaker.probes.into(), 1, 1_000),
            ("ejection.interval_ms", ejection.interval_ms, 1, 3_600_000),
            ("ejection.minimum_volume", ejection.minimum_volume, 1, 1_000_000_000),
            ("ejection.pause_ms", ejection.pause_ms, 1, 86_400_000),
            ("ejection.longest_pause_ms", ejection.longest_pause_ms, ejection.pause_ms.max(1), 86_400_000),
            ("retry.attempts", retry.attempts.into(), 1, 100),
            ("retry.base_ms", retry.base_ms, 1, 600_000),
            ("retry.cap_ms", retry.cap_ms, retry.base_ms.max(1), 600_000),
            ("retry.budget_percent", retry.budget_percent.into(), 0, 1_000),
            ("retry.budget_per_second", retry.budget_per_second.into(), 0, 1_000_000),
            ("hedge.delay_ms", hedge_delay, 1, 600_000),
        ];
        let shares = [
            // Above 1 the rule is off.
            ("breaker.failure_ratio", breaker.failure_ratio, 1e3),
            ("ejection.margin", ejection.margin, 1.0),
            ("ejection.max_share", ejection.max_share, 1.0),
            ("hedge.quantile", self.hedge.quantile.unwrap_or(1.0), 1.0),
        ];
        let mut faults: Vec<String> = numbers
            .into_iter()
            .filter(|(_, value, least, most)| !(*least..=*most).contains(value))
            .map(|(key, value, least, most)| {
                format!("{key}: {value} is out of bounds: expected {least} to {most}")
            })
            .collect();
        // A share that is no number is in no bounds.
        let outside = shares.into_iter().filter(|(_, value, most)| !(0.0..=*most).contains(value));
        faults.extend(outside.map(|(key, value, _)| format!("{key}: {value} is no share: expected 0 to 1")));
        if breaker.failure_ratio == 0.0 {
            faults.push(
                "breaker.failure_ratio: 0 would trip without a failure: expected more, or above 1 for off"
                    .to_owned(),
            );
        }
        if self.zone.as_deref().is_some_and(str::is_empty) {
            faults.push("zone: it is empty: name the zone, or leave it out".to_owned());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Delay;
    use super::*;

    #[test]
    fn the_defaults_work_and_every_fault_is_told_at_once() {
        assert_eq!(ClientConfig::default().faults(), [""; 0]);
        let text = "zone = \"\"\nslow_start_ms = 99999999\n[breaker]\nprobes = 0\nlongest_pause_ms = 1\nfailure_ratio = 0.0\n\
                    [ejection]\nmax_share = nan\n[retry]\nattempts = 0\n[hedge]\nquantile = 1.5\n";
        let faults = toml::from_str::<ClientConfig>(text).unwrap().faults();
        for key in
            ["zone", "slow_start_ms", "breaker.probes", "breaker.longest_pause_ms", "breaker.failure_ratio"]
                .into_iter()
                .chain(["ejection.max_share", "retry.attempts", "hedge.quantile"])
        {
            let named = faults.iter().filter(|fault| fault.starts_with(&format!("{key}: "))).count();
            assert_eq!(named, 1, "{key} in {faults:?}");
        }
        assert_eq!(faults.len(), 8);
        assert!(toml::from_str::<ClientConfig>("polcy = \"p2c\"").is_err());
        assert!(toml::from_str::<ClientConfig>("policy = \"random\"").is_err());
    }

    #[test]
    fn what_is_written_reads_back_and_hedging_is_off_unless_it_is_asked_for() {
        let written = toml::to_string(&ClientConfig::default()).unwrap();
        assert_eq!(toml::from_str::<ClientConfig>(&written).unwrap(), ClientConfig::default());
        let hedge = |text: &str| toml::from_str::<ClientConfig>(text).unwrap().hedge.delay();
        assert_eq!(hedge(""), None);
        assert_eq!(hedge("hedge.delay_ms = 5"), Some(Delay::Fixed(Duration::from_millis(5))));
        let both = Delay::Quantile { quantile: 0.95, least: Duration::from_millis(5) };
        assert_eq!(hedge("hedge = { delay_ms = 5, quantile = 0.95 }"), Some(both));
    }
}
