//! Prints what was measured, and keeps it in files.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::measure::Times;
use crate::plot;
use crate::variants::Variant;

pub struct Report {
    folder: PathBuf,
    name: &'static str,
    tickets: i64,
    csv: String,
    plans: String,
    compared: Vec<Compared>,
    part: String,
}

/// One query of one agent, in all variants.
pub struct Compared {
    /// The title that it is below.
    pub part: String,
    pub query: String,
    pub agent: String,
    /// With the ratio to the limit.
    pub ratios: Vec<(Variant, f64)>,
    is_within_bound: bool,
    is_best_policy: bool,
}

/// The columns of the table of ratios.
const COLUMNS: [(Variant, &str); 5] = [
    (Variant::Deskguard, "deskguard"),
    (Variant::LiteralPolicy, "lit. pol."),
    (Variant::AnyArray, "= ANY"),
    (Variant::Exists, "EXISTS"),
    (Variant::Function, "function"),
];

impl Report {
    /// `name`: of the CSV file.
    pub fn new(folder: PathBuf, name: &'static str, tickets: i64) -> Self {
        fs::create_dir_all(&folder).expect("the folder for results can be made");
        Report {
            folder,
            name,
            tickets,
            csv: "tickets,query,agent,variant,runs,min_ms,q1_ms,median_ms,q3_ms,p99_ms,wall_median_ms,ratio\n"
                .into(),
            plans: String::new(),
            compared: vec![],
            part: String::new(),
        }
    }

    pub fn title(&mut self, text: &str) {
        self.part = text.into();
        println!("\n{text}\n{}", "-".repeat(text.len()));
    }

    pub fn table_head(&self) {
        print!(
            "{:<26} {:<11} {:>9} {:>19} ",
            "query", "agent", "limit, ms", "quartiles"
        );
        for (_, name) in COLUMNS {
            print!(" {name:>9}");
        }
        println!("  {:>8}", "wall");
    }

    /// Notes the times of all variants, and says if deskguard is slower than it should be.
    pub fn compared(
        &mut self,
        query: &str,
        agent: &str,
        times: Vec<(Variant, Times)>,
        is_within_bound: impl Fn(f64, f64) -> bool,
    ) -> bool {
        let literals = [Variant::Limit, Variant::LimitAny];
        let limit = times
            .iter()
            .filter(|(variant, _)| literals.contains(variant))
            .map(|(_, times)| times)
            .min_by(|a, b| a.median().total_cmp(&b.median()))
            .expect("the limit is among the variants")
            .clone();
        let deskguard = times
            .iter()
            .find(|(variant, _)| *variant == Variant::Deskguard)
            .map(|(_, times)| times)
            .expect("deskguard is among the variants");
        let ratio = deskguard.ratio_to(&limit);
        let is_within_bound = is_within_bound(limit.median(), limit.median() * ratio);
        // Beyond noise: not even the quartiles meet.
        let is_best_policy = times
            .iter()
            .filter(|(variant, _)| Variant::POLICIES.contains(variant))
            .all(|(_, others)| deskguard.quantile(0.25) <= others.quantile(0.75));
        let mut line = format!(
            "{query:<26} {agent:<11} {:>9.3} {:>9.3}-{:>9.3} ",
            limit.median(),
            limit.quantile(0.25),
            limit.quantile(0.75)
        );
        let mut ratios = vec![];
        for (variant, times) in &times {
            let ratio = times.ratio_to(&limit);
            self.note(query, agent, variant.name(), times, Some(ratio));
            ratios.push((*variant, ratio));
        }
        for (column, _) in COLUMNS {
            let ratio = ratios.iter().find(|(variant, _)| *variant == column);
            let cell = ratio.map_or_else(String::new, |(_, ratio)| format!("{ratio:.2}"));
            let _ = write!(line, " {cell:>9}");
        }
        let _ = write!(line, "  {:>8.2}", deskguard.passed() / limit.passed());
        for (variant, ratio) in &ratios {
            if [Variant::LimitAny, Variant::LimitPrepared].contains(variant) {
                let _ = write!(line, "  {} {ratio:.2}", variant.name());
            }
        }
        if !is_within_bound {
            line += "  <- above the bound";
        }
        if !is_best_policy {
            line += "  <- another policy is faster";
        }
        println!("{line}");
        self.compared.push(Compared {
            part: self.part.clone(),
            query: query.into(),
            agent: agent.into(),
            ratios,
            is_within_bound,
            is_best_policy,
        });
        !is_within_bound
    }

    /// A line of the CSV file.
    pub fn note(
        &mut self,
        query: &str,
        agent: &str,
        variant: &str,
        times: &Times,
        ratio: Option<f64>,
    ) {
        let _ = writeln!(
            self.csv,
            "{},\"{query}\",\"{agent}\",\"{variant}\",{},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{}",
            self.tickets,
            times.runs(),
            times.min(),
            times.quantile(0.25),
            times.median(),
            times.quantile(0.75),
            times.quantile(0.99),
            times.passed(),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"))
        );
    }

    pub fn plan(&mut self, text: &str) {
        let _ = writeln!(self.plans, "{text}\n");
    }

    /// Writes the files, and sums up.
    pub fn finish(mut self) {
        let all = self.compared.len();
        let within = self.compared.iter().filter(|c| c.is_within_bound).count();
        let best = self.compared.iter().filter(|c| c.is_best_policy).count();
        let plot = plot::ratios(&self.compared);
        if all > 0 {
            self.title("Summary");
            println!(
                "deskguard is within its bound in {within} of {all} cases (1.10 x the limit; point reads 1.3 x or 60 us more),"
            );
            println!("and not slower than the best of the other policies in {best} of {all}.");
        }
        let mut files = vec![(format!("{}.csv", self.name), &self.csv)];
        if all > 0 {
            files.push(("ratios.svg".into(), &plot));
            files.push(("slow-plans.txt".into(), &self.plans));
        }
        for (name, content) in files {
            let path = self.folder.join(name);
            fs::write(&path, content).expect("the results can be written");
            println!("{}", path.display());
        }
    }
}
