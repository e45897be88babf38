//! Drives a pool through a world: chooses what happens next, tells the pool, carries out what it
//! orders, and shows every line to the checkers.
//!
//! Two phases: first with faults, for safety; then the faults stop and everything must come to its
//! end within a bounded number of steps.

use std::collections::VecDeque;
use std::fmt;

use loky_core::{Effect, Event, Outcome, Pool, ShutdownMode, TaskId, TaskOptions};

use crate::checkers::{Line, Panel};
use crate::marks::Marks;
use crate::profile::{Profile, wishes as wishes_of};
use crate::rng::Rng;
use crate::world::{Move, World};

/// How many lines of the chronicle a failure shows.
const TRACE_MAX: usize = 60;

/// After the faults stop, so many moves are allowed for everything that is still there.
const CALM_MOVES_MAX: u64 = 20_000;

/// A run that went wrong.
pub struct Failure {
    pub law: String,
    pub text: String,
    trace: Vec<Line>,
    step: u64,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the law `{}` is broken in step {}: {}",
            self.law, self.step, self.text
        )?;
        writeln!(f, "the last lines:")?;
        for line in &self.trace {
            writeln!(f, "  {line:?}")?;
        }
        Ok(())
    }
}

/// A run under way.
pub struct Driver {
    pub pool: Pool,
    pub world: World,
    pub panel: Panel,
    pub marks: Marks,
    pub rng: Rng,
    pub profile: Profile,
    pub steps: u64,
    last_task: u64,
    effects: Vec<Effect>,
    moves: Vec<Move>,
    trace: VecDeque<Line>,
}

impl Driver {
    pub fn new(rng: Rng, profile: Profile) -> Self {
        Self {
            pool: Pool::new(profile.config.clone()),
            world: World::new(profile.config.start_timeout_ns.is_some()),
            panel: Panel::new(&profile.config),
            marks: Marks::default(),
            rng,
            profile,
            steps: 0,
            last_task: 0,
            effects: Vec::new(),
            moves: Vec::new(),
            trace: VecDeque::new(),
        }
    }

    /// A run as its seed wants it, through both phases. Answers the marks that it left.
    pub fn run_seed(seed: u64) -> Result<(u64, Marks), Failure> {
        let mut rng = Rng::new(seed);
        let profile = Profile::of_seed(&mut rng);
        let mut driver = Self::new(rng, profile);
        let steps = driver.profile.steps;
        for _ in 0..steps {
            driver.disturb()?;
            driver.advance()?;
            if driver.panel.record.stopped && driver.rng.below(50) == 0 {
                break;
            }
        }
        driver.calm();
        if driver.rng.below(3) > 0 {
            driver.end_tasks()?;
        }
        let mode = driver.any_mode();
        driver.finish(mode)?;
        Ok((driver.steps, driver.marks))
    }

    fn fail(&self, law: &str, text: String) -> Failure {
        let trace = self.trace.iter().cloned().collect();
        Failure {
            law: law.to_owned(),
            text,
            trace,
            step: self.steps,
        }
    }

    /// Shows a line to the checkers.
    fn show(&mut self, line: Line) -> Result<(), Failure> {
        let verdict = self.panel.see(&line);
        self.marks.see(&line);
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
        verdict.map_err(|broken| self.fail(broken.law, broken.text))
    }

    /// One step of the pool.
    pub fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.steps += 1;
        self.show(Line::Told(self.world.now_ns, event.clone()))?;
        let mut effects = std::mem::take(&mut self.effects);
        self.pool.step(self.world.now_ns, event, &mut effects);
        for effect in effects.drain(..) {
            let possible = self.world.carry_out(&effect);
            self.show(Line::Ordered(effect))?;
            possible.map_err(|text| self.fail("possible", text))?;
        }
        self.effects = effects;
        let alive = self.pool.workers_alive();
        let unfinished = self.pool.unfinished();
        self.show(Line::Rest { alive, unfinished })?;
        // Without debug assertions the pool does not look itself.
        if !cfg!(debug_assertions) && self.steps.is_multiple_of(4) {
            let verdict = self.pool.check_invariants();
            verdict.map_err(|violation| self.fail("inside", violation.to_string()))?;
        }
        Ok(())
    }

    pub fn submit(&mut self) -> Result<(), Failure> {
        let wishes = self.rng.per_mille(self.profile.wishes);
        let options = wishes.then(|| Box::new(wishes_of(&mut self.rng)));
        self.submit_with(options)
    }

    pub fn submit_with(&mut self, options: Option<Box<TaskOptions>>) -> Result<(), Failure> {
        self.last_task += 1;
        let task = TaskId(self.last_task);
        if let Some(options) = &options {
            self.world.options.insert(task, **options);
        }
        self.tell(Event::TaskSubmitted { task, options })
    }

    /// The timer fires: what had been sent and answered by then has been told.
    fn fire_timer(&mut self) -> Result<(), Failure> {
        while let Some(earlier) = self.world.told_before_the_timer() {
            self.take(earlier)?;
        }
        self.take(Move::FireTimer)
    }

    /// Makes a move that is possible, at random; otherwise lets the time pass to the timer.
    /// Answers false if nothing can happen any more.
    pub fn advance(&mut self) -> Result<bool, Failure> {
        self.world.now_ns += self.rng.below(self.profile.tick_ns);
        let mut moves = std::mem::take(&mut self.moves);
        self.world.moves(&mut moves);
        let next = if moves.is_empty() {
            self.world.timer_at_ns().map(|at_ns| {
                self.world.now_ns = self.world.now_ns.max(at_ns);
                Move::FireTimer
            })
        } else {
            Some(self.rng.pick(&moves))
        };
        self.moves = moves;
        match next {
            None => return Ok(false),
            Some(Move::FireTimer) => self.fire_timer()?,
            Some(next) => self.take(next)?,
        }
        Ok(true)
    }

    fn take(&mut self, next: Move) -> Result<(), Failure> {
        let (event, started) = self.world.make(next, &mut self.rng, &self.profile);
        if let Some(line) = started {
            self.show(line)?;
        }
        match event {
            Some(event) => self.tell(event),
            None => Ok(()),
        }
    }

    /// What the owner and the faults do, by their chances.
    fn disturb(&mut self) -> Result<(), Failure> {
        self.act_as_owner()?;
        let profile = &self.profile;
        if self.rng.per_mille(profile.kill) {
            let victims = self.world.victims();
            if !victims.is_empty() {
                let victim = self.rng.pick(&victims);
                self.world.kill(victim);
            }
        }
        if self.rng.per_mille(self.profile.launcher_death) {
            let lose = self.rng.below(2) == 0;
            self.world.kill_launcher(lose);
        }
        if self.rng.per_mille(self.profile.condemn)
            && let Some(event) = self.world.condemn(&mut self.rng)
        {
            self.tell(event)?;
        }
        if self.rng.per_mille(self.profile.overfill)
            && let Some(event) = self.world.overfill(&mut self.rng)
        {
            self.tell(event)?;
        }
        if self.rng.per_mille(self.profile.stray)
            && let Some(event) = self.world.stray(&mut self.rng)
        {
            self.tell(event)?;
        }
        if self.rng.per_mille(self.profile.early_timer) {
            self.fire_timer()?;
        }
        if self.rng.per_mille(self.profile.jump_to_timer)
            && let Some(at_ns) = self.world.timer_at_ns()
        {
            self.world.now_ns = self.world.now_ns.max(at_ns);
            self.fire_timer()?;
        }
        if self.rng.per_mille(self.profile.setup_failure) {
            let event = self.world.fail_setup();
            self.tell(event)?;
        }
        Ok(())
    }

    fn act_as_owner(&mut self) -> Result<(), Failure> {
        if self.rng.per_mille(self.profile.submit)
            && self.panel.record.unfinished < self.profile.tasks_max
        {
            for _ in 0..=self.rng.below(self.profile.burst_max) {
                self.submit()?;
            }
        }
        if self.rng.per_mille(self.profile.cancel) {
            let back = self.rng.below(24);
            let task = TaskId((self.last_task + 2).saturating_sub(back));
            let force = self.rng.per_mille(self.profile.force);
            let grace_ns = self.rng.pick(&[0, 100_000]);
            self.tell(Event::CancelRequested {
                task,
                force_grace_ns: force.then_some(grace_ns),
            })?;
        }
        if self.rng.per_mille(self.profile.want) {
            self.tell(Event::WorkersWanted)?;
        }
        if self.rng.per_mille(self.profile.resize) {
            let workers = u32::try_from(1 + self.rng.below(7)).expect("small");
            self.tell(Event::ResizeRequested { workers })?;
        }
        if self.rng.per_mille(self.profile.shutdown) {
            let mode = self.any_mode();
            self.tell(Event::ShutdownRequested { mode })?;
        }
        Ok(())
    }

    fn any_mode(&mut self) -> ShutdownMode {
        self.rng.pick(&[
            ShutdownMode::Drain,
            ShutdownMode::CancelPending,
            ShutdownMode::Kill,
        ])
    }

    /// The faults stop, and the owner wants nothing any more.
    fn calm(&mut self) {
        self.profile = self.profile.calmed();
    }

    /// Every task must come to its end, and a resize must settle.
    pub fn end_tasks(&mut self) -> Result<(), Failure> {
        self.move_until("every task ends and a resize settles", |driver| {
            driver.panel.record.unfinished == 0 && !driver.panel.record.resizing
        })
    }

    /// The owner ends the pool: it must stop.
    pub fn finish(&mut self, mode: ShutdownMode) -> Result<(), Failure> {
        self.tell(Event::ShutdownRequested { mode })?;
        self.move_until("the pool stops", |driver| driver.panel.record.stopped)?;
        self.panel
            .end()
            .map_err(|broken| self.fail(broken.law, broken.text))?;
        // After the end it is deaf, and a task is still answered.
        self.submit()?;
        self.tell(Event::TimerFired)?;
        self.panel
            .end()
            .map_err(|broken| self.fail(broken.law, broken.text))
    }

    /// Moves until `done`, within the bound, or fails for want of life.
    fn move_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        for _ in 0..CALM_MOVES_MAX {
            if done(self) {
                return Ok(());
            }
            if !self.advance()? {
                break;
            }
        }
        if done(self) {
            return Ok(());
        }
        let text = format!("{what}: it never does; {:#?}", self.pool);
        Err(self.fail("life", text))
    }

    /// How many of the accepted tasks have ended in this way.
    pub fn count(&self, is: impl Fn(Outcome) -> bool) -> usize {
        let accepted = self
            .panel
            .record
            .tasks
            .values()
            .filter(|seen| !seen.refused);
        accepted
            .filter_map(|seen| seen.outcome)
            .filter(|&outcome| is(outcome))
            .count()
    }
}
