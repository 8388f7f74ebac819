//! The verifier's statistics: [`Stats::of`] reads what a program's log says at its end.
//!
//! | kernel | lines |
//! |---|---|
//! | 5.2 to 7.1 | `verification time 142 usec`, `stack depth 24+16`, `processed 412 insns (limit 1000000) max_states_per_insn 4 total_states 24 peak_states 24 mark_read 5` |
//! | 7.2 | `stack depth 64 max 64`, and `insns processed 2345` or one number for each subprogram, `1200+1145` |
//! | 7.3-rc | `stack depth max 64`, and for each subprogram `subprog 0 (name) main insns_self 10 insns_total 20 stack 64` |
//!
//! The words may change again. So each number is looked for behind its own name, in whichever line, and what is not found is
//! `None`: an unknown text gives no numbers, and never zeros.

use crate::record::Subprog;

/// What a log says in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How long it took, in microseconds.
    pub verification_us: Option<u64>,
    /// Instructions processed.
    pub insns_processed: Option<u64>,
    /// The most that would have been.
    pub insns_limit: Option<u64>,
    /// The most states at one instruction.
    pub max_states_per_insn: Option<u64>,
    /// States kept.
    pub total_states: Option<u64>,
    /// The most of them at one time.
    pub peak_states: Option<u64>,
    /// The longest way back along which registers were marked as read.
    pub mark_read: Option<u64>,
    /// Bytes of stack of the deepest chain of calls, where the kernel says so.
    pub stack_max: Option<u32>,
    /// Bytes of stack of each subprogram.
    pub stack_depths: Option<Vec<u32>>,
    /// Each subprogram.
    pub subprogs: Option<Vec<Subprog>>,
}

impl Stats {
    /// The numbers that stand in `log`; of a number that stands there more than once, the last.
    #[must_use]
    pub fn of(log: &str) -> Self {
        let mut stats = Self::default();
        for line in log.lines().map(str::trim) {
            stats.read(line);
        }
        if stats.stack_depths.is_none()
            && let Some(subprogs) = &stats.subprogs
        {
            stats.stack_depths = subprogs.iter().map(|subprog| subprog.stack).collect();
        }
        stats
    }

    /// Whether it has the number that matters most.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        self.insns_processed.is_some()
    }

    fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("verification time ") {
            self.verification_us = first_number(rest).or(self.verification_us);
        } else if let Some(rest) = line.strip_prefix("stack depth ") {
            self.read_stack(rest);
        } else if let Some(rest) = line.strip_prefix("processed ") {
            self.read_processed(rest);
        } else if line.starts_with("subprog ")
            && let Some(subprog) = subprog(line)
        {
            self.subprogs.get_or_insert_default().push(subprog);
        }
    }

    /// `24+16`, `64 max 64`, `max 64`.
    fn read_stack(&mut self, rest: &str) {
        let mut words = rest.split_whitespace().peekable();
        if let Some(list) = words.peek()
            && let Some(depths) = list.split('+').map(|depth| depth.parse().ok()).collect::<Option<Vec<u32>>>()
        {
            self.stack_depths = Some(depths);
            words.next();
        }
        if words.next() == Some("max") {
            self.stack_max = words.next().and_then(|number| number.parse().ok());
        }
    }

    /// `412 insns (limit 1000000) max_states_per_insn 4 total_states 24 peak_states 24 mark_read 5`.
    fn read_processed(&mut self, rest: &str) {
        let words: Vec<&str> = rest.split(|c: char| c.is_whitespace() || "()".contains(c)).collect();
        if words.get(1) != Some(&"insns") {
            return;
        }
        self.insns_processed = first_number(rest);
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let behind = |name: &str| words.windows(2).find(|pair| pair[0] == name).and_then(|pair| pair[1].parse().ok());
        self.insns_limit = behind("limit");
        self.max_states_per_insn = behind("max_states_per_insn");
        self.total_states = behind("total_states");
        self.peak_states = behind("peak_states");
        self.mark_read = behind("mark_read");
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `subprog 0 (name) main insns_self 10 insns_total 20 stack 64`.
fn subprog(line: &str) -> Option<Subprog> {
    let (_, behind) = line.split_once('(')?;
    let (name, rest) = behind.split_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (kind, numbers) = words.split_first()?;
    let behind = |key: &str| numbers.chunks(2).find(|pair| pair[0] == key).and_then(|pair| pair.get(1)?.parse().ok());
    Some(Subprog {
        name: (!name.is_empty()).then(|| name.to_owned()),
        kind: (*kind).to_owned(),
        insns_self: behind("insns_self")?,
        insns_total: behind("insns_total")?,
        stack: behind("stack").and_then(|stack| u32::try_from(stack).ok()),
    })
}

/// Whether a line of a log is one of statistics, and says nothing about why a program was refused.
#[must_use]
pub fn is_statistics(line: &str) -> bool {
    let begins = |start: &str| line.trim().strip_prefix(start).is_some_and(|rest| rest.starts_with([' ', ':']));
    ["verification time", "stack depth", "processed", "insns processed", "subprog"].into_iter().any(begins)
}

/// Why a program was refused: the last line of its log that says something, and is not a number's. Since 7.3 an explanation over
/// many lines follows it, whose title stands in when there is no such line.
#[must_use]
pub fn reason(log: &str) -> Option<String> {
    let says = |line: &&str| !line.is_empty() && !is_statistics(line);
    let lines: Vec<&str> = log.lines().map(str::trim).filter(says).collect();
    let explained = lines.iter().rposition(|line| line.starts_with("Verification failed: "));
    let reason = match explained {
        Some(title) => lines[..title].last().or(lines.get(title)),
        None => lines.last(),
    };
    reason.map(|line| (*line).to_owned())
}

/// The last lines of a log, as many as fit in `bytes`.
#[must_use]
pub fn tail(log: &str, bytes: usize) -> String {
    let log = log.trim_end();
    let mut from = log.len().saturating_sub(bytes);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    let from = match log[from..].find('\n') {
        // A line that was cut says less than none, unless there is no other.
        Some(end) if from > 0 => from + end + 1,
        _ => from,
    };
    log[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "verification time 142 usec\nstack depth 24+16\nprocessed 412 insns (limit 1000000) \
                       max_states_per_insn 4 total_states 24 peak_states 23 mark_read 5\n";

    #[test]
    fn the_old_words_are_read() {
        let stats = Stats::of(OLD);
        let expected = Stats {
            verification_us: Some(142),
            insns_processed: Some(412),
            insns_limit: Some(1_000_000),
            max_states_per_insn: Some(4),
            total_states: Some(24),
            peak_states: Some(23),
            mark_read: Some(5),
            stack_max: None,
            stack_depths: Some(vec![24, 16]),
            subprogs: None,
        };
        assert_eq!(stats, expected);
    }

    #[test]
    fn the_stack_is_read_in_each_of_its_words() {
        let stack = |line: &str| {
            let stats = Stats::of(line);
            (stats.stack_depths, stats.stack_max)
        };
        assert_eq!(stack("stack depth 0"), (Some(vec![0]), None));
        assert_eq!(stack("stack depth 24+16+0 max 40"), (Some(vec![24, 16, 0]), Some(40)));
        assert_eq!(stack("stack depth max 64"), (None, Some(64)));
        assert_eq!(stack("stack depth deep"), (None, None));
    }

    #[test]
    fn subprograms_are_read_with_their_stacks() {
        let log = "stack depth max 80\nsubprog 0 (main_prog) main insns_self 10 insns_total 20 stack 64\n\
                   subprog 1 () static insns_self 5 insns_total 5 stack 16\nsubprog 2 (x) global insns_self 1\n";
        let stats = Stats::of(log);
        assert_eq!(stats.stack_depths, Some(vec![64, 16]));
        let subprogs = stats.subprogs.unwrap();
        assert_eq!(subprogs.len(), 2, "the third says too little");
        assert_eq!((subprogs[0].name.as_deref(), subprogs[0].insns_total), (Some("main_prog"), 20));
        assert_eq!((subprogs[1].name.as_deref(), subprogs[1].kind.as_str()), (None, "static"));
    }

    /// Check that words of a kernel to come give no number rather than a wrong one.
    #[test]
    fn unknown_words_give_no_numbers() {
        for text in ["", "processed many insns", "handled 412 instructions", "processed 412 of 900", "stack depth max"]
        {
            assert_eq!(Stats::of(text), Stats::default(), "{text}");
        }
        assert!(!Stats::of("stack depth 8").is_understood());
    }

    /// Check that no text makes the reader panic: each prefix of a log, and each with a byte in its middle replaced.
    #[test]
    fn no_text_is_too_broken() {
        let log = format!("{OLD}subprog 0 (ä) main insns_self 10 insns_total 20 stack 64\n");
        for (at, _) in log.char_indices() {
            let replaced = format!("{}é18446744073709551616{}", &log[..at], &log[at..]);
            for text in [&log[..at], &log[at..], &replaced] {
                let _read = (Stats::of(text), reason(text), tail(text, at));
            }
        }
    }

    #[test]
    fn the_reason_stands_before_the_numbers() {
        let log =
            "0: (b7) r0 = 0\nR1 invalid mem access 'scalar'\n\nverification time 7 usec\nprocessed 2 insns (limit 9)\n";
        assert_eq!(reason(log).as_deref(), Some("R1 invalid mem access 'scalar'"));
        assert_eq!(reason(OLD), None);
        let explained =
            "R1 invalid mem access 'scalar'\n\nVerification failed: Register Type Safety\n\nSuggestion:\n  Do not.\n";
        assert_eq!(reason(explained).as_deref(), Some("R1 invalid mem access 'scalar'"));
        assert_eq!(reason("Verification failed: Size\nSuggestion:\n").as_deref(), Some("Verification failed: Size"));
    }

    #[test]
    fn a_tail_begins_with_a_whole_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 100), "one\ntwo\nthree");
        assert_eq!(tail("one\ntwo\nthree\n", 8), "three");
        assert_eq!(tail("a line of its own", 4), " own");
    }
}
