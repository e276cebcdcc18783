//! Names of types, as people write them and as PostgreSQL prints them.

/// Other spellings, and what `format_type` prints before and after the arguments.
const SPELLINGS: &[(&str, &str, &str)] = &[
    ("decimal", "numeric", ""),
    ("dec", "numeric", ""),
    ("number", "numeric", ""),
    ("varchar", "character varying", ""),
    ("char varying", "character varying", ""),
    ("char", "character", ""),
    ("string", "text", ""),
    ("varbit", "bit varying", ""),
    ("timestamptz", "timestamp", " with time zone"),
    ("datetime", "timestamp", " with time zone"),
    ("timestamp with time zone", "timestamp", " with time zone"),
    ("timestamp", "timestamp", " without time zone"),
    ("timestamp without time zone", "timestamp", " without time zone"),
    ("timetz", "time", " with time zone"),
    ("time with time zone", "time", " with time zone"),
    ("time", "time", " without time zone"),
    ("time without time zone", "time", " without time zone"),
    ("int", "integer", ""),
    ("int4", "integer", ""),
    ("serial", "integer", ""),
    ("serial4", "integer", ""),
    ("int8", "bigint", ""),
    ("bigserial", "bigint", ""),
    ("serial8", "bigint", ""),
    ("int2", "smallint", ""),
    ("tinyint", "smallint", ""),
    ("smallserial", "smallint", ""),
    ("float8", "double precision", ""),
    ("double", "double precision", ""),
    ("float", "double precision", ""),
    ("float4", "real", ""),
    ("bool", "boolean", ""),
    ("blob", "bytea", ""),
];

/// The name of a type as PostgreSQL's `format_type` prints it; `None` when the text is no name of a
/// type. Types that PostgreSQL does not bring itself are taken as written.
pub(crate) fn canonical(written: &str) -> Option<String> {
    // A quoted name is a type of the user's own, kept letter by letter.
    if written.contains('"') {
        let sound = !written.contains(char::is_control) && written.trim() == written;
        return sound.then(|| written.to_owned());
    }
    let (element, dimensions) = match written.find('[') {
        Some(at) => written.split_at(at),
        None => (written, ""),
    };
    let squeezed: String = dimensions.split_whitespace().collect();
    if !squeezed.chars().all(|c| c.is_ascii_digit() || matches!(c, '[' | ']'))
        || squeezed.matches('[').count() != squeezed.matches(']').count()
    {
        return None;
    }
    let (before, arguments, after) = match element.split_once('(') {
        None => (element, String::new(), ""),
        Some((before, rest)) => {
            let (arguments, after) = rest.split_once(')')?;
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            if arguments.iter().any(|one| one.is_empty() || one.contains(['(', ')'])) {
                return None;
            }
            (before, format!("({})", arguments.join(",")), after)
        }
    };
    let words: Vec<&str> = before.split_whitespace().chain(after.split_whitespace()).collect();
    let base = words.join(" ").to_lowercase();
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ' ' | '$');
    if base.is_empty() || !base.chars().all(sound) || base.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let array = if squeezed.is_empty() { "" } else { "[]" };
    let printed = match (base.as_str(), arguments.as_str()) {
        ("float", "") => "double precision".to_owned(),
        ("float", size) => {
            let bits = size.trim_matches(['(', ')']).parse::<u8>().ok()?;
            if bits <= 24 { "real".to_owned() } else { "double precision".to_owned() }
        }
        ("char", "") => "character(1)".to_owned(),
        ("bit", "") => "bit(1)".to_owned(),
        _ => match SPELLINGS.iter().find(|(other, ..)| *other == base) {
            Some((_, first, last)) => format!("{first}{}{last}", scaled(first, &arguments)),
            // Words after the arguments are kept there: `interval day to second(3)` has none.
            None if after.trim().is_empty() => format!("{base}{}", scaled(&base, &arguments)),
            None => return None,
        },
    };
    Some(format!("{printed}{array}"))
}

/// `numeric(10)` is printed as `numeric(10,0)`.
fn scaled(base: &str, arguments: &str) -> String {
    if base == "numeric" && !arguments.is_empty() && !arguments.contains(',') {
        return arguments.replace(')', ",0)");
    }
    arguments.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_recognised() {
        for (written, printed) in [
            ("decimal(10,6)", "numeric(10,6)"),
            ("numeric(10, 6)", "numeric(10,6)"),
            ("numeric(10)", "numeric(10,0)"),
            ("VARCHAR(255)", "character varying(255)"),
            ("timestamptz", "timestamp with time zone"),
            ("timestamp", "timestamp without time zone"),
            ("timestamptz(3)", "timestamp(3) with time zone"),
            ("timestamp(3)", "timestamp(3) without time zone"),
            ("time", "time without time zone"),
            ("int", "integer"),
            ("int[]", "integer[]"),
            ("integer[3][3]", "integer[]"),
            ("serial", "integer"),
            ("char", "character(1)"),
            ("float(24)", "real"),
            ("float", "double precision"),
            ("bool", "boolean"),
            ("TEXT", "text"),
            ("double  precision", "double precision"),
        ] {
            assert_eq!(canonical(written).as_deref(), Some(printed), "{written}");
        }
    }

    #[test]
    fn what_is_printed_stays() {
        for printed in [
            "numeric(10,6)",
            "numeric",
            "text",
            "jsonb",
            "date",
            "bigint",
            "bigint[]",
            "character varying(255)",
            "character varying",
            "character(3)",
            "bpchar",
            "timestamp with time zone",
            "timestamp(3) with time zone",
            "timestamp with time zone[]",
            "interval day to second(3)",
            "\"char\"",
            "audit.\"Mood\"",
            "public.mood",
            "geometry(Point,4326)",
        ] {
            assert_eq!(canonical(printed).as_deref(), Some(printed));
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            " ",
            "numeric(10,6",
            "numeric()",
            "numeric(,)",
            "text; DROP",
            "int[",
            "1",
            "a(b(c))",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
