fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args[1].parse().unwrap();
    let to: u64 = args[2].parse().unwrap();
    let variant = args.get(3).filter(|v| *v != "-").map(|v| v.parse().unwrap());
    let all = args.get(4).is_some();
    let mut config = valet_simulation::SimulationConfig::seeds(from..to);
    config.variant = variant;
    config.stop_at_first = !all;
    config.threads = std::env::var("T").ok().and_then(|t| t.parse().ok());
    let report = valet_simulation::run(&config);
    let kinds = |v: &str| v.split(": ").skip(1).collect::<Vec<_>>().join(": ");
    let mut by: std::collections::BTreeMap<String, Vec<u64>> = std::collections::BTreeMap::default();
    for f in &report.failures {
        by.entry(kinds(&f.run.violations[0]).chars().filter(|c| !c.is_ascii_digit()).take(90).collect())
            .or_default()
            .push(f.run.seed);
    }
    for (k, s) in &by {
        println!("{:5} {k}  {:?}", s.len(), &s[..s.len().min(6)]);
    }
    if !all {
        for f in report.failures.iter().take(1) {
            println!("{f}");
        }
    }
    println!(
        "{} seeds {} runs {:?} sim {:?} took {:?} = {:.0}/s failures {}",
        report.seeds_done,
        report.runs,
        report.events,
        report.simulated,
        report.took,
        report.seeds_per_second(),
        report.failures.len()
    );
}
