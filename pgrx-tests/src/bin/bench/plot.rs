//! Draws the ratios to the limit.

use std::fmt::Write as _;

use crate::report::Compared;
use crate::variants::Variant;

const LEFT: f64 = 250.0;
const WIDTH: f64 = 700.0;
const TOP: f64 = 70.0;
const ROW: f64 = 18.0;
/// The ratios at both ends of the axis.
const ENDS: (f64, f64) = (0.01, 2000.0);

const SHOWN: [(Variant, &str); 6] = [
    (Variant::Function, "#b279a2"),
    (Variant::Exists, "#e45756"),
    (Variant::AnyArray, "#f2a93b"),
    (Variant::LimitPrepared, "#9d9da1"),
    (Variant::LiteralPolicy, "#72b7b2"),
    (Variant::Deskguard, "#2166ac"),
];

fn x(ratio: f64) -> f64 {
    let place = (ratio / ENDS.0).ln() / (ENDS.1 / ENDS.0).ln();
    LEFT + WIDTH * place.clamp(0.0, 1.0)
}

/// A row for each query, a dot for each variant and agent, on a logarithmic axis.
pub fn ratios(compared: &[Compared]) -> String {
    // The same query again below another title is another row.
    let is_same =
        |one: &Compared, other: &Compared| one.part == other.part && one.query == other.query;
    let queries: Vec<&[Compared]> = compared.chunk_by(is_same).collect();
    let parts = queries.chunk_by(|one, other| one[0].part == other[0].part);
    let rows = queries.len() + parts.count();
    let bottom = TOP + ROW * rows as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">Median time, as a multiple of the literal WHERE \
         without row-level security</text>\n",
        LEFT + WIDTH + 40.0,
        bottom + 40.0
    );
    for ((variant, colour), n) in SHOWN.iter().rev().zip(0..) {
        let left = LEFT + 120.0 * f64::from(n);
        let _ = writeln!(
            svg,
            "<circle cx=\"{left}\" cy=\"42\" r=\"5\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"46\">{}</text>",
            left + 10.0,
            variant.name()
        );
    }
    for (ratio, colour) in [
        (0.02, "#ddd"),
        (0.1, "#ddd"),
        (0.5, "#ddd"),
        (1.0, "#000"),
        (1.1, "#2166ac"),
        (2.0, "#ddd"),
        (5.0, "#ddd"),
        (10.0, "#ddd"),
        (100.0, "#ddd"),
        (1000.0, "#ddd"),
    ] {
        let x = x(ratio);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\" stroke=\"{colour}\"/>",
            TOP - 10.0
        );
        // It would be on top of its neighbour.
        if ratio != 1.1 {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{ratio}</text>",
                bottom + 18.0
            );
        }
    }
    let (mut y, mut part) = (TOP + 6.0, "");
    for query in queries {
        if query[0].part != part {
            part = &query[0].part;
            let _ = writeln!(
                svg,
                "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{part}</text>",
                y + 4.0
            );
            y += ROW;
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            y + 4.0,
            query[0].query
        );
        for (variant, colour) in SHOWN {
            for case in query {
                for (_, ratio) in case.ratios.iter().filter(|(v, _)| *v == variant) {
                    let _ = writeln!(
                        svg,
                        "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"5\" fill=\"{colour}\" fill-opacity=\"0.8\">\
                         <title>{}, {}: {} {ratio:.2}</title></circle>",
                        x(*ratio),
                        case.query,
                        case.agent,
                        variant.name()
                    );
                }
            }
        }
        y += ROW;
    }
    svg + "</svg>\n"
}
