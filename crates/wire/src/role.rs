//! Who says what to whom. Owner: the kinds that may travel each way.
//!
//! Each way has a type of its own, so that whoever receives names every kind that can reach it and no
//! other.

use crate::header::Kind;

/// One way: the kinds that travel it.
macro_rules! way {
    ($(#[$about:meta])* $way:ident: $($(#[$what:meta])* $kind:ident,)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $way {
            $($(#[$what])* $kind,)+
        }

        impl $way {
            /// The kind, if it travels this way.
            pub const fn of(kind: Kind) -> Option<Self> {
                $(if matches!(kind, Kind::$kind) {
                    return Some(Self::$kind);
                })+
                None
            }
        }
    };
}

way! {
    /// What the parent says to a worker.
    ToWorker:
    /// [`Kind::Task`]
    Task,
    /// [`Kind::SegmentFreed`]
    SegmentFreed,
    /// [`Kind::Leave`]
    Leave,
    /// [`Kind::Bell`]
    Bell,
    /// [`Kind::Forget`]
    Forget,
}

way! {
    /// What a worker says to the parent.
    FromWorker:
    /// [`Kind::SegmentFreed`]
    SegmentFreed,
    /// [`Kind::Bell`]
    Bell,
    /// [`Kind::Ready`]
    Ready,
    /// [`Kind::Done`]
    Done,
    /// [`Kind::InitializerFailed`]
    InitializerFailed,
    /// [`Kind::Leaving`]
    Leaving,
    /// [`Kind::Revoked`]
    Revoked,
}

way! {
    /// What the parent says to the zygote.
    ToZygote:
    /// [`Kind::Spawn`]
    Spawn,
    /// [`Kind::Kill`]
    Kill,
    /// [`Kind::Stop`]
    Stop,
    /// [`Kind::Preload`]
    Preload,
}

way! {
    /// What the zygote says to the parent.
    FromZygote:
    /// [`Kind::Hello`]
    Hello,
    /// [`Kind::Spawned`]
    Spawned,
    /// [`Kind::SpawnFailed`]
    SpawnFailed,
    /// [`Kind::Exited`]
    Exited,
    /// [`Kind::Unfit`]
    Unfit,
    /// [`Kind::Signalled`]
    Signalled,
}

/// From whom to whom the bytes of one decoder flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// What a worker reads.
    ParentToWorker,
    /// What the parent reads from a worker.
    WorkerToParent,
    /// What the zygote reads.
    ParentToZygote,
    /// What the parent reads from the zygote.
    ZygoteToParent,
}

impl Role {
    /// All directions.
    pub const ALL: [Self; 4] = [
        Self::ParentToWorker,
        Self::WorkerToParent,
        Self::ParentToZygote,
        Self::ZygoteToParent,
    ];

    /// Whether a frame of this kind may travel this way.
    pub const fn admits(self, kind: Kind) -> bool {
        match self {
            Self::ParentToWorker => ToWorker::of(kind).is_some(),
            Self::WorkerToParent => FromWorker::of(kind).is_some(),
            Self::ParentToZygote => ToZygote::of(kind).is_some(),
            Self::ZygoteToParent => FromZygote::of(kind).is_some(),
        }
    }
}
