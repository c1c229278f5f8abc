//! A page of the guide as a man page: of Markdown just what our documents use.

use std::fmt::Write as _;

/// Renders a document as the page `name(section)`. The first heading is its subject.
pub fn man_page(markdown: &str, name: &str, section: &str, version: &str, subject: &str) -> String {
    let mut page = format!(
        ".TH {} {section} \"\" \"{version}\" \"System administration\"\n.SH NAME\n{} \\- {subject}\n.SH DESCRIPTION\n",
        name.to_uppercase(),
        escaped(name),
    );
    let mut lines = markdown.lines().skip(1).peekable();
    // A paragraph right behind a heading needs no request of its own.
    let mut fresh = true;
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with("<!--") {
            continue;
        }
        let next_fresh = line.starts_with('#');
        if let Some(title) = line.strip_prefix("## ") {
            let _ = writeln!(page, ".SH \"{}\"", plain(title).to_uppercase());
        } else if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("#### ")) {
            let _ = writeln!(page, ".SS \"{}\"", plain(title));
        } else if line.starts_with("```") {
            page.push_str(if fresh { ".RS 4\n.EX\n" } else { ".PP\n.RS 4\n.EX\n" });
            for code in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                let _ = writeln!(page, "{}", guarded(&escaped(code)));
            }
            page.push_str(".EE\n.RE\n");
        } else if line.starts_with('|') {
            let mut row = Some(line);
            let mut index = 0;
            while let Some(cells) = row {
                // The first row names the columns, the second only draws.
                if index > 1 {
                    table_row(&mut page, cells);
                }
                index += 1;
                row = lines.next_if(|line| line.starts_with('|'));
            }
        } else if let Some(item) = line.strip_prefix("- ") {
            let mut text = item.to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                let _ = write!(text, " {}", more.trim());
            }
            let _ = writeln!(page, ".IP \\(bu 2\n{}", guarded(&inline(&text)));
        } else {
            let mut text = line.to_owned();
            while let Some(more) = lines.next_if(|line| !line.is_empty() && !line.starts_with(['|', '#', '`'])) {
                let _ = write!(text, " {more}");
            }
            let _ = writeln!(page, "{}{}", if fresh { "" } else { ".PP\n" }, guarded(&inline(&text)));
        }
        fresh = next_fresh;
    }
    page
}

fn table_row(page: &mut String, row: &str) {
    // A bar inside of code is written as \| in a table.
    let row = row.trim().trim_matches('|').replace("\\|", "\u{1}");
    let cells: Vec<String> = row.split('|').map(|cell| inline(&cell.trim().replace('\u{1}', "|"))).collect();
    let (first, rest) = cells.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let told: Vec<&str> = rest.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
    let told = if told.is_empty() { "\\&".to_owned() } else { told.join("; ") };
    let _ = writeln!(page, ".TP\n{}\n{}", guarded(first), guarded(&told));
}

/// Bold for code and emphasis, nothing but the words for a link.
fn inline(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(&escaped(before));
        let mark = &tail[..1];
        let (double, width) = if tail.starts_with("**") { (true, 2) } else { (false, 1) };
        let end = match mark {
            "[" => tail.find("](").filter(|end| tail[*end..].contains(')')),
            _ => tail[width..].find(if double { "**" } else { mark }).map(|end| end + width),
        };
        let Some(end) = end else {
            out.push_str(&escaped(mark));
            rest = &tail[1..];
            continue;
        };
        match mark {
            "[" => {
                let after = &tail[end..];
                out.push_str(&inline(&tail[1..end]));
                rest = &after[after.find(')').map_or(0, |close| close + 1)..];
            }
            "`" => {
                let _ = write!(out, "\\fB{}\\fR", escaped(&tail[1..end]));
                rest = &tail[end + 1..];
            }
            _ => {
                let _ = write!(out, "\\fI{}\\fR", escaped(&tail[width..end]));
                rest = &tail[end + width..];
            }
        }
    }
    out.push_str(&escaped(rest));
    out
}

fn plain(text: &str) -> String {
    escaped(&text.replace('`', ""))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '`' => out.push_str("\\(ga"),
            '\u{2192}' => out.push_str("\\(->"),
            '\u{2026}' => out.push_str(".\\|.\\|."),
            c => out.push(c),
        }
    }
    out
}

/// A line that begins with a dot would be a request.
fn guarded(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::man_page;

    #[test]
    fn what_our_documents_use_becomes_requests() {
        let markdown =
            "# The policy\n\nOne `key: 'a'` and\n*two* [links](#x).\n\n## Files\n\n| Key | Value |\n|---|---|\n\
            | `a` | first \\| or |\n\n- an item\n  of two lines\n\n```yaml\n.dot: -1\n```\n";
        let expected = ".TH P 5 \"\" \"v 1\" \"System administration\"\n.SH NAME\np \\- what\n.SH DESCRIPTION\n\
            One \\fBkey: \\(aqa\\(aq\\fR and \\fItwo\\fR links.\n.SH \"FILES\"\n.TP\n\\fBa\\fR\nfirst | or\n\
            .IP \\(bu 2\nan item of two lines\n.PP\n.RS 4\n.EX\n\\&.dot: \\-1\n.EE\n.RE\n";
        assert_eq!(man_page(markdown, "p", "5", "v 1", "what"), expected);
    }
}
