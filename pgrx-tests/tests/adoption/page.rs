//! The statements of docs/adopting.md.

const PAGE: &str = include_str!("../../../docs/adopting.md");

/// What the fenced SQL blocks below a heading have, in order, a statement each.
pub fn statements(heading: &str) -> Vec<String> {
    let title = format!("## {heading}");
    let mut lines = PAGE.lines().skip_while(|line| *line != title).skip(1);
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut is_sql = false;
    for line in lines.by_ref().take_while(|line| !line.starts_with("## ")) {
        if line.starts_with("```") {
            is_sql = line == "```sql";
        } else if is_sql {
            statement += line;
            statement.push('\n');
            let is_in_body = statement.matches("$$").count() % 2 == 1;
            if line.ends_with(';') && !is_in_body {
                statements.push(std::mem::take(&mut statement));
            }
        }
    }
    assert_eq!(
        statement.trim(),
        "",
        "{heading}: a statement without an end"
    );
    assert!(!statements.is_empty(), "docs/adopting.md has no {title}");
    statements
}
