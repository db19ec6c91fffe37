//! Examples of every verb, shown below its help. A test parses each.

/// Lines of examples, below their heading.
macro_rules! examples {
    ($($(#[$doc:meta])* $name:ident: $first:literal $(, $line:literal)*;)*) => {
        $($(#[$doc])* pub const $name: &str = concat!("Examples:\n  ", $first $(, "\n  ", $line)*);)*
    };
}

examples! {
    RUN: "isx run -A rom.wasm",
        "isx run rom.wasm --allow host.walk=/self/chat --allow chat -- ada grace",
        "isx run talk",
        "isx run -A std:wordcount",
        "isx run /self/tools/wc -- --all",
        "isx run --dir ./data::/data:ro --env LANG=C --no-dial tool.wasm",
        "isx run --deadline 5m -A rom.wasm",
        "isx run --forget rom.wasm";
    NEW: "isx new greeter", "isx new greeter --template app", "isx new ./work/bot -t rom --name bot";
    DEV: "isx dev", "isx dev chat", "isx dev ./module /self/trial --reset";
    BUILD: "isx build", "isx build ./module -o chat.wasm", "isx build ./rom --embed module=chat.wasm";
    TEST: "isx test", "isx test ./module", "isx test --native", "isx test -- greetings -- --nocapture";
    BINDINGS: "isx bindings /self/chat --lang typescript --out chat.ts",
        "isx bindings ./module --lang json-schema",
        "isx bindings chat.wasm --lang rust --out src/chat.rs";
    PUBLISH: "isx publish", "isx publish chat --dry-run", "isx publish chat.wasm /self/rooms/chat",
        "isx publish std:tally", "isx publish ./rom /self/tools/wc";
    ROLLBACK: "isx rollback chat", "isx rollback /self/chat 01ab --dry-run", "isx rollback chat --yes";
    SCHEMA: "isx schema chat", "isx schema /self/chat --json", "isx schema ./chat.wasm";
    INSPECT: "isx inspect ./chat.wasm", "isx inspect /self/chat", "isx inspect std:";
    CALL: "isx call chat send hi",
        "isx call /self/tally add apples 3",
        "isx call chat send hi --dry-run",
        "isx call /self/tally add apples 3 --if 'counter[apples].count=2'",
        "isx call /self/tally add apples 3 --if revision=7",
        "isx call chat send @letter.txt",
        "isx call chat send - --within 5s",
        "isx call chat send '\"@ada\"'",
        "isx call chat invite '{\"name\":\"ada\",\"age\":36}'";
    QUERY: "isx query /self/tally total",
        "isx query chat last 10 --json",
        "isx query chat find @question.json",
        "isx query /self/tally total --at 12";
    ROWS: "isx rows chat:message",
        "isx rows /self/tally:counter --limit 10 --json",
        "isx rows chat:room lobby",
        "isx rows chat:message --at 10m",
        "isx rows chat:message --at 2026-01-31T12:00:00Z";
    PUT: "isx put paint:cursor 12.5 7", "isx put /self/paint:cursor 12.5 7 --hold 1m", "isx put paint:cursor --delete";
    HISTORY: "isx history chat", "isx history /self/tally -n 10 --before 40 --json";
    DIFF: "isx diff chat --from 10m", "isx diff /self/tally --from 3 --to 7 --json", "isx diff /self/chat /self/trial";
    BLAME: "isx blame /self/tally:counter apples", "isx blame chat:message 17 --json";
    REPLAY: "isx replay chat", "isx replay /self/tally --to 12 --json";
    LOGS: "isx logs chat", "isx logs /self/chat -f --level warn", "isx logs chat -n 20";
    WATCH: "isx watch chat:message", "isx watch /self/tally:counter --count 2", "isx watch chat:room lobby", "isx watch /self/motd";
    GET: "isx get /self/motd";
    SET: "isx set /self/motd hello", "isx set /self/motd later --expect hello", "isx set /self/motd first --expect ''";
    LS: "isx ls", "isx ls /self --json";
    TREE: "isx tree /self";
    MOUNT: "isx mount /self/chat 01ab";
    UNMOUNT: "isx unmount /self/chat", "isx unmount chat";
    RM: "isx rm /self/motd", "isx rm chat --yes";
    START: "isx start", "isx start --alias beta --listen 127.0.0.1:0 --new", "isx start --public --http 127.0.0.1:9100",
        "isx start --no-http",
        "isx start --cpu-max 150% --memory-max 2GiB --disk-max 10GiB", "isx start --history 30d", "isx start --history all";
    STOP: "isx stop", "isx stop --context work";
    STATUS: "isx status", "isx status --json";
    TOP: "isx top", "isx top /self/tally --once", "isx top --interval 5s";
    WHOAMI: "isx whoami", "isx whoami --context work";
    LIMITS: "isx limits", "isx limits --node", "isx limits --json";
    DOCTOR: "isx doctor", "isx doctor --json";
    CONTEXT_LS: "isx context ls";
    CONTEXT_ADD: "isx context add work /ip4/10.0.0.7/tcp/4711/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
        "isx context add guest /ip4/10.0.0.7/tcp/4711/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp --identity guest.key";
    CONTEXT_USE: "isx context use work", "isx context use --none";
    CONTEXT_RM: "isx context rm work";
    CONTEXT_SHOW: "isx context show", "isx context show work --json";
    KEY_SHOW: "isx key show", "isx key show --json";
    KEY_PATH: "isx key path";
    CLUSTER_SKIP: "isx cluster skip 1";
    HELP: "isx help", "isx help call", "isx help context add", "isx help stale_bindings";
    COMPLETION: "isx completion bash", "isx completion zsh";
    MAN: "isx man ./man";
}

#[cfg(test)]
mod tests {
    use crate::arguments::{Arguments, Verb};
    use clap::{Command, CommandFactory, Parser};

    /// The words of a line, with single quotes as a shell takes them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
        for c in line.chars() {
            match c {
                '\'' => (quoted, begun) = (!quoted, true),
                ' ' if !quoted => {
                    if begun {
                        words.push(std::mem::take(&mut word));
                    }
                    begun = false;
                }
                c => {
                    word.push(c);
                    begun = true;
                }
            }
        }
        words.extend(begun.then_some(word));
        words
    }

    fn check(command: &Command, name: &str) {
        let below: Vec<&Command> =
            command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help").collect();
        for command in &below {
            check(command, &format!("{name} {}", command.get_name()));
        }
        if !below.is_empty() {
            return;
        }
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut lines = help.lines();
        assert_eq!(lines.next(), Some("Examples:"), "{name} has no examples");
        let mut count = 0;
        for line in lines.map(str::trim) {
            assert!(line.starts_with(name), "{line:?} is no example of {name}");
            if let Err(error) = Arguments::try_parse_from(words(line)) {
                panic!("{line}: {error}");
            }
            count += 1;
        }
        assert!(count > 0, "{name} has no example");
    }

    #[test]
    fn what_is_cargos_reaches_it() {
        let Verb::Test(test) = Arguments::parse_from(words("isx test -- greetings -- --nocapture")).verb else {
            panic!("another verb")
        };
        assert_eq!(test.arguments, ["greetings", "--", "--nocapture"]);
    }

    #[test]
    fn every_verb_has_examples_that_parse() {
        let command = Arguments::command();
        // `help` is ours, not clap's: it is a verb like the others.
        check(&command, "isx");
        check(command.find_subcommand("help").expect("it is a verb"), "isx help");
    }
}
