//! Who may boot next: [`Slots`] lets as many VMs run as this machine carries, those that take longest first.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use tokio::sync::oneshot;

/// What a VM takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    /// The processors of this machine that it keeps busy.
    pub(super) processors: usize,
    /// Its memory, QEMU's own included.
    pub(super) memory_kib: u64,
    /// How long it will take, in seconds.
    pub(super) seconds: f64,
}

/// The room for VMs. Clones are the same room.
#[derive(Clone)]
pub struct Slots {
    shared: Rc<Shared>,
}

struct Shared {
    /// Processors, or VMs when each counts the same.
    capacity: usize,
    /// Whether what a VM needs counts; else every VM counts the same.
    weighed: bool,
    /// The memory that is free, in KiB, where that can be known.
    available_kib: Box<dyn Fn() -> Option<u64>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    running: Vec<Need>,
    /// In the order in which they came.
    waiting: Vec<(Need, oneshot::Sender<Slot>)>,
}

/// The right to run a VM; given back when dropped.
pub(super) struct Slot {
    shared: Rc<Shared>,
    need: Need,
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("capacity", &self.shared.capacity).finish_non_exhaustive()
    }
}

impl Slots {
    /// Room for VMs on `processors`, as far as `available_kib`, asked before each boot, says that there is memory.
    pub fn on(processors: usize, available_kib: impl Fn() -> Option<u64> + 'static) -> Self {
        Self::new(processors, true, Box::new(available_kib))
    }

    /// Room for `vms` VMs, whatever they need.
    #[must_use]
    pub fn for_vms(vms: usize) -> Self {
        Self::new(vms, false, Box::new(|| None))
    }

    fn new(capacity: usize, weighed: bool, available_kib: Box<dyn Fn() -> Option<u64>>) -> Self {
        Self { shared: Rc::new(Shared { capacity, weighed, available_kib, state: RefCell::default() }) }
    }

    /// The processors that VMs may keep busy, or the VMs that may run.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// How many of [`Self::capacity`] a VM that keeps `processors` busy takes.
    pub(super) fn weight(&self, processors: usize) -> usize {
        self.shared.weight(processors)
    }

    /// Waits until there is room for a VM that needs `need`. Of those that wait, the one that takes longest goes first,
    /// lest it run alone at the end; one for which there is no room yet does not hold up those that fit beside what runs.
    pub(super) async fn acquire(&self, need: Need) -> Slot {
        let (sender, admitted) = oneshot::channel();
        self.shared.state.borrow_mut().waiting.push((need, sender));
        self.shared.admit();
        match admitted.await {
            Ok(slot) => slot,
            Err(_closed) => unreachable!("a sender leaves the queue by sending"),
        }
    }
}

impl Shared {
    fn weight(&self, processors: usize) -> usize {
        if self.weighed { processors.min(self.capacity) } else { 1 }
    }

    /// Lets in whoever fits.
    fn admit(self: &Rc<Self>) {
        while let Some((need, sender)) = self.next() {
            // Whoever has given up meanwhile gives the slot back by not taking it.
            drop(sender.send(Slot { shared: Rc::clone(self), need }));
        }
    }

    /// Takes the first that fits out of the queue.
    fn next(&self) -> Option<(Need, oneshot::Sender<Slot>)> {
        let mut state = self.state.borrow_mut();
        state.waiting.retain(|(_, sender)| !sender.is_closed());
        // Asked here and not for each one: nobody boots in between.
        let available = if self.weighed && !state.waiting.is_empty() { (self.available_kib)() } else { None };
        let fitting = state.waiting.iter().enumerate().filter(|(_, (need, _))| self.fits(&state, need, available));
        // Of those that take as long, the one that came first.
        let (place, _) = fitting.max_by(|(i, (a, _)), (j, (b, _))| a.seconds.total_cmp(&b.seconds).then(j.cmp(i)))?;
        let (need, sender) = state.waiting.remove(place);
        state.running.push(need);
        Some((need, sender))
    }

    fn leave(&self, need: &Need) {
        let running = &mut self.state.borrow_mut().running;
        if let Some(place) = running.iter().position(|other| other == need) {
            running.swap_remove(place);
        }
    }

    /// Whether there is room for one more. A VM that is larger than the machine runs alone.
    fn fits(&self, state: &State, need: &Need, available_kib: Option<u64>) -> bool {
        let used: usize = state.running.iter().map(|need| self.weight(need.processors)).sum();
        // Guests take their memory as they use it, so what is free is promised to those that run. What they use already
        // counts twice thereby: rather a VM less than a machine that runs out of memory.
        let promised: u64 = state.running.iter().map(|need| need.memory_kib).sum();
        let has_memory = available_kib.is_none_or(|available| promised + need.memory_kib <= available);
        state.running.is_empty() || (used + self.weight(need.processors) <= self.capacity && has_memory)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.leave(&self.need);
        self.shared.admit();
    }
}

#[cfg(test)]
mod tests;
