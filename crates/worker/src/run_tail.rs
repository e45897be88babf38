
    /// Claims a task that has come. One that the parent has withdrawn is told so and left alone.
    fn claim(&mut self, incoming: &Incoming) -> Result<(), WorkerError> {
        let header = incoming.header;
        let slot = header.aux;
        let wrong = |what: &'static str| WorkerError::Protocol { what, kind: header.kind.number() };
        let body = TaskBody::decode(&incoming.body)?;
        let slot_narrow = u16::try_from(slot).map_err(|_| wrong("a slot that no ledger has"))?;
        let ticket = Ticket { slot: slot_narrow, generation: body.generation };
        // Whatever becomes of the task, the parent is told once that this worker needs the segment
        // no more: by this notice, or by the last view that it is handed to.
        let notice = body.payload.segment.map(|segment| FreedNotice::new(segment.id, Arc::clone(&self.freed)));
        let started_ns = clock::monotonic_ns();
        if !self.ledger.claim(ticket, started_ns)? {
            self.say(&Header { task: header.task, attempt: header.attempt, ..Header::of(Kind::Revoked) });
            return Ok(());
        }
        let (task, attempt) = (header.task, header.attempt);
        let turn = match open_segment(incoming, &body.payload, notice)? {
            Opened::Here(segment) => Turn::Task(task_in(task, attempt, &body.payload, segment.as_ref())
                .ok_or_else(|| wrong("an extent outside of its segment"))?),
            Opened::Lost(errno) => Turn::Lost { task, attempt, errno },
        };
        self.held = Some(Held { task, attempt, slot, started_ns, turn });
        Ok(())
    }

    /// Answers the task that is held. A second answer for the same attempt changes nothing.
    ///
    /// Where the error says so ([`WorkerError::leaves_worker_usable`]), nothing was sent, the task
    /// is held as before, and a smaller answer may follow.
    pub fn reply(&mut self, task: u64, attempt: u32, outgoing: &Outgoing<'_>) -> Result<(), WorkerError> {
        let Some(held) = self.held.as_ref().filter(|held| (held.task, held.attempt) == (task, attempt)) else {
            return if self.answered == Some((task, attempt)) {
                Ok(())
            } else {
                Err(WorkerError::NotHeld { task, attempt })
            };
        };
        let run_ns = clock::monotonic_ns().saturating_sub(held.started_ns);
        let flags = if outgoing.raised { DONE_RAISED } else { 0 };
        let header = Header { flags, task, attempt, aux: held.slot, ..Header::of(Kind::Done) };
        self.answer(header, outgoing, |payload| DoneBody { run_ns, payload }.encode())?;
        self.answered = Some((task, attempt));
        self.held = None;
        Ok(())
    }

    /// Tells the parent that the initializer raised; `outgoing` is the exception.
    pub fn initializer_failed(&mut self, outgoing: &Outgoing<'_>) -> Result<(), WorkerError> {
        self.answer(Header::of(Kind::InitializerFailed), outgoing, |payload| payload.encode())
    }
