//! Which rule decides, in tables.

use super::*;
use crate::model::owner::OwnerKind;
use crate::model::policy::{Action, Condition, Match, NamePattern, PathPattern, RuleTerms};
use crate::model::text::path_of;
use crate::model::verdict::{CauseKind, Method, Verdict};
use std::path::{Path, PathBuf};

fn names(patterns: &[&str]) -> Vec<NamePattern> {
    patterns.iter().map(|pattern| NamePattern::new(pattern).unwrap()).collect()
}

fn paths(patterns: &[&str]) -> Vec<PathPattern> {
    patterns.iter().map(|pattern| PathPattern::new(pattern).unwrap()).collect()
}

fn must(must: Vec<Condition>) -> Match {
    Match { must, not: Vec::new() }
}

fn units(patterns: &[&str]) -> Match {
    must(vec![Condition::Unit(names(patterns))])
}

fn rule(name: &str, matching: Match, action: Action) -> Rule {
    let source = Source { file: PathBuf::from("/p"), line: 1 };
    let ladder = Ladder::of(Step::plain(action).unwrap());
    Rule { name: name.to_owned(), source, matching, ladder, protect: false, terms: RuleTerms::default() }
}

fn protecting(name: &str, matching: Match) -> Rule {
    Rule { protect: true, ..rule(name, matching, Action::Report) }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy { rules, ..Policy::default() }
}

fn unit(name: &str) -> Subject<'_> {
    Subject { unit: Some(name), ..Subject::new(OwnerKind::Service, Verdict::Stale) }
}

fn full() -> Subject<'static> {
    Subject {
        unit: Some("nginx.service"),
        owner: OwnerKind::Service,
        slice: Some("system.slice"),
        container: None,
        exes: vec![Path::new("/usr/sbin/nginx")],
        paths: vec![Path::new("/usr/lib/libz.so.1"), Path::new("/usr/lib/libssl.so.3")],
        packages: vec!["zlib1g", "libssl3"],
        users: vec!["root", "0", "www-data", "33"],
        causes: vec![CauseKind::Library],
        methods: vec![Method::Renamed],
        verdict: Verdict::Stale,
    }
}

#[test]
fn every_key_asks_its_own_fact_and_one_of_a_list_is_enough() {
    for (condition, expected) in [
        (Condition::Unit(names(&["a", "nginx*"])), true),
        (Condition::Unit(names(&["a", "b"])), false),
        (Condition::Exe(paths(&["/usr/sbin/*"])), true),
        (Condition::Exe(paths(&["/usr/bin/*"])), false),
        (Condition::Path(paths(&["libssl.so*"])), true),
        (Condition::Path(paths(&["/usr/sbin/nginx"])), false),
        (Condition::Package(names(&["libssl*"])), true),
        (Condition::Package(names(&["linux-*"])), false),
        (Condition::User(names(&["33"])), true),
        (Condition::User(names(&["nobody"])), false),
        (Condition::Owner(vec![OwnerKind::Init, OwnerKind::Service]), true),
        (Condition::Owner(vec![OwnerKind::Session]), false),
        (Condition::Slice(names(&["system.slice"])), true),
        (Condition::Slice(names(&["user*"])), false),
        (Condition::Container(names(&["*"])), false),
        (Condition::Cause(vec![CauseKind::Library]), true),
        (Condition::Cause(vec![CauseKind::Executable]), false),
        (Condition::Method(vec![Method::Renamed]), true),
        (Condition::Method(vec![Method::Overwritten]), false),
        (Condition::Verdict(vec![Verdict::Stale, Verdict::Tainted]), true),
        (Condition::Verdict(vec![Verdict::Tainted]), false),
    ] {
        assert_eq!(condition.holds(&full()), expected, "{condition:?}");
    }
}

#[test]
fn all_keys_must_hold_and_all_of_not_exclude() {
    let ssl = || Condition::Package(names(&["libssl3"]));
    let nginx = || Condition::Unit(names(&["nginx.service"]));
    let other = || Condition::Unit(names(&["other"]));
    for (must, not, expected) in [
        (vec![], vec![], true),
        (vec![nginx(), ssl()], vec![], true),
        (vec![nginx(), other()], vec![], false),
        (vec![nginx()], vec![ssl()], false),
        (vec![nginx()], vec![ssl(), other()], true),
        (vec![], vec![other()], true),
    ] {
        let matching = Match { must, not };
        assert_eq!(matching.mismatch(&full()).is_none(), expected, "{matching:?}");
    }
}

#[test]
fn a_file_name_that_is_not_text_does_not_escape_a_rule() {
    let path = path_of(b"/opt/\xff/lib.so");
    let subject = Subject { paths: vec![&path], ..unit("a") };
    let policy = policy(vec![rule("opt", must(vec![Condition::Path(paths(&["/opt/**"]))]), Action::Ignore)]);
    assert_eq!(policy.decide(&subject).rule_name(), "opt");
}

#[test]
fn the_first_match_decides_and_the_default_last() {
    let policy = policy(vec![
        rule("web", units(&["nginx*"]), Action::Reload),
        rule("all", units(&["*.service"]), Action::Restart),
        rule("named", units(&["cron.service"]), Action::Ignore),
    ]);
    for (name, expected, action) in [
        ("nginx.service", "web", Action::Reload),
        ("cron.service", "all", Action::Restart),
        ("x.scope", "default", Action::Report),
    ] {
        let subject = unit(name);
        let decision = policy.decide(&subject);
        assert_eq!(decision.rule_name(), expected);
        assert_eq!(decision.steps(), [action]);
    }
    assert_eq!(policy.decide(&unit("x.scope")).source, None);
}

#[test]
fn a_protecting_rule_gives_way_only_to_the_units_name_above_it() {
    let bus = || protecting("bus", units(&["dbus*.service"]));
    let all = || rule("all", units(&["*"]), Action::Restart);
    let named = || rule("named", units(&["dbus.service"]), Action::Restart);
    let others = || Match {
        must: vec![Condition::Unit(names(&["dbus.service"]))],
        not: vec![Condition::Owner(vec![OwnerKind::Service])],
    };
    for (rules, expected) in [
        (vec![all(), bus()], "bus"),
        (vec![rule("anything", Match::default(), Action::Restart), bus()], "bus"),
        (vec![all(), named(), bus()], "named"),
        (vec![named(), all(), bus()], "named"),
        (vec![bus(), named()], "bus"),
        (vec![rule("range", units(&["dbus[.]service"]), Action::Restart), bus()], "bus"),
        (vec![rule("other owner", others(), Action::Restart), bus()], "bus"),
        (vec![all(), protecting("first", units(&["*"])), bus()], "first"),
        (vec![all(), named()], "all"),
    ] {
        assert_eq!(policy(rules.clone()).decide(&unit("dbus.service")).rule_name(), expected, "{rules:?}");
    }
}

#[test]
fn explain_says_why_the_rules_before_do_not_decide() {
    let without_ssl =
        Match { must: vec![], not: vec![Condition::Package(names(&["libssl*"])), Condition::User(names(&["root"]))] };
    let policy = policy(vec![
        rule("a", units(&["a", "b", "c", "d", "e"]), Action::Ignore),
        rule("b", must(vec![Condition::Container(names(&["web"]))]), Action::Ignore),
        rule("c", without_ssl, Action::Ignore),
        rule("d", must(vec![Condition::Path(paths(&["/opt/**"]))]), Action::Ignore),
        rule("e", Match::default(), Action::Restart),
        protecting("f", must(vec![Condition::Owner(vec![OwnerKind::Service])])),
        rule("g", Match::default(), Action::Restart),
    ]);
    let subject = full();
    let decision = policy.decide(&subject);
    assert_eq!(decision.rule_name(), "f");
    let why: Vec<_> = decision
        .why_not
        .iter()
        .map(|passed| format!("{}: {}", passed.rule.name, passed.why.explain(&subject)))
        .collect();
    assert_eq!(
        why,
        [
            "a: unit is nginx.service; asked for a, b, c and 2 more",
            "b: container is none; asked for web",
            "c: excluded by not: package, user",
            "d: path is /usr/lib/libz.so.1, /usr/lib/libssl.so.3; asked for /opt/**",
            "e: \"f\" protects it; only a rule that names the unit goes before",
        ]
    );
}

#[test]
fn a_unit_that_a_rule_protects_is_known_by_name() {
    let bus = || protecting("bus", units(&["dbus.service"]));
    let named = rule("named", units(&["dbus.service"]), Action::Restart);
    let guard = |policy: Policy| policy.guard_of("dbus.service").map(|rule| rule.name.clone());
    assert_eq!(guard(policy(vec![bus()])).as_deref(), Some("bus"));
    assert_eq!(guard(policy(vec![named, bus()])), None, "the admin says that it may be restarted");
    assert_eq!(policy(vec![bus()]).guard_of("cron.service"), None);
}
