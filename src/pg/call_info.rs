//! Calls of functions by PostgreSQL, with what it keeps beside the arguments.

use std::any::TypeId;
use std::ffi::c_char;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::node::{CallExpr, Node};

/// A call of a function, while it lasts. As an argument it is one that SQL does not know of.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct CallInfo<'c>(
    NonNull<pg_sys::FunctionCallInfoBaseData>,
    PhantomData<&'c ()>,
);

// SAFETY: PostgreSQL calls a function with this, which lasts as long as the call.
unsafe impl<'c> ArgAbi<'c> for CallInfo<'c> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'c>) -> CallInfo<'c> {
        // SAFETY: it is not null.
        unsafe {
            let fcinfo = <pg_sys::FunctionCallInfo as ArgAbi>::unbox_arg_unchecked(arg);
            CallInfo(NonNull::new_unchecked(fcinfo), PhantomData)
        }
    }

    fn is_virtual_arg() -> bool {
        true
    }
}

// SAFETY: no argument of the function in SQL.
unsafe impl SqlTranslatable for CallInfo<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_sql_entity_graph::pgrx_resolved_type!(CallInfo<'_>);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::Skip);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::Skip));
}

/// What a call site keeps. The type comes first, whatever it is.
#[repr(C)]
struct Kept<T> {
    of_type: TypeId,
    /// The table that the call names.
    named: Option<pg_sys::Oid>,
    found: T,
}

impl<'c> CallInfo<'c> {
    fn base(self) -> &'c pg_sys::FunctionCallInfoBaseData {
        // SAFETY: there while the call lasts.
        unsafe { self.0.as_ref() }
    }

    /// Of what the call site keeps: part of that of the query, if it is in one.
    pub fn memory(self) -> pg_sys::MemoryContext {
        // SAFETY: a call has its FmgrInfo.
        unsafe { (*self.base().flinfo).fn_mcxt }
    }

    /// The call as it stands in the plan, if it stands in one.
    pub fn expression(self) -> Option<CallExpr<'c>> {
        // SAFETY: the expression of a call is a node, or there is none.
        unsafe { Node::new((*self.base().flinfo).fn_expr.cast()) }?.call()
    }

    /// Has deskguard put this call into the plan?
    pub fn is_of_plan(self) -> bool {
        self.expression().is_some_and(CallExpr::is_of_plan)
    }

    /// Is it about the row that a command looks for by its key, to change it?
    pub fn is_of_target(self) -> bool {
        self.expression().is_some_and(CallExpr::is_of_target)
    }

    /// What an earlier call from this site has kept, if it named the same table.
    pub fn kept<T: 'static>(self, named: Option<pg_sys::Oid>) -> Option<&'c T> {
        // SAFETY: fn_extra is NULL or what keep() has put there, and lives as long as the FmgrInfo: longer than the
        // call. The type is looked at first. pgrx uses it only for functions that return a SetOfIterator or
        // TableIterator, and those are not given a CallInfo.
        unsafe {
            let kept = NonNull::new((*self.base().flinfo).fn_extra)?;
            if *kept.cast::<TypeId>().as_ref() != TypeId::of::<T>() {
                return None;
            }
            let kept = kept.cast::<Kept<T>>().as_ref();
            (kept.named == named).then_some(&kept.found)
        }
    }

    /// Keeps something for later calls from this site; gives it back if something is kept there already.
    pub fn keep<T: 'static>(self, named: Option<pg_sys::Oid>, found: T) -> Result<&'c T, T> {
        // SAFETY: as for kept().
        unsafe {
            let info = self.base().flinfo;
            if !(*info).fn_extra.is_null() {
                return Err(found);
            }
            let kept = PgMemoryContexts::For((*info).fn_mcxt).leak_and_drop_on_delete(Kept {
                of_type: TypeId::of::<T>(),
                named,
                found,
            });
            (*info).fn_extra = kept.cast();
            Ok(&(*kept).found)
        }
    }

    /// Of a call by a trigger.
    pub fn trigger(self) -> Option<&'c pg_sys::TriggerData> {
        self.context(pg_sys::NodeTag::T_TriggerData)
            // SAFETY: the tag tells the type.
            .map(|data| unsafe { data.cast().as_ref() })
    }

    /// Calls a function of PostgreSQL in place of this one, for another trigger. Its error jumps over this and the
    /// caller, who must hold nothing then.
    ///
    /// # Safety
    /// The function takes such a call. The trigger is there while it lasts, and is of the same table, event and time as
    /// that of this call, which is one by a trigger.
    #[allow(ffi_unwind_calls)] // In a frame that holds nothing.
    pub unsafe fn pass_to(
        self,
        function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
        trigger: *mut pg_sys::Trigger,
    ) {
        let fcinfo = self.0.as_ptr();
        // SAFETY: as the caller promises.
        unsafe {
            let context = (*fcinfo).context;
            let mut data = *context.cast::<pg_sys::TriggerData>();
            data.tg_trigger = trigger;
            (*fcinfo).context = (&raw mut data).cast();
            function(fcinfo);
            (*fcinfo).context = context;
        }
    }

    /// Of a call by an event trigger.
    pub fn event_trigger(self) -> Option<&'c pg_sys::EventTriggerData> {
        self.context(pg_sys::NodeTag::T_EventTriggerData)
            // SAFETY: the tag tells the type.
            .map(|data| unsafe { data.cast().as_ref() })
    }

    fn context(self, tag: pg_sys::NodeTag) -> Option<NonNull<pg_sys::Node>> {
        let context = NonNull::new(self.base().context)?;
        // SAFETY: a node, which begins with its tag.
        (unsafe { context.as_ref() }.type_ == tag).then_some(context)
    }

    /// The rows that the call returns, of one column of this type.
    pub fn rows(self, type_oid: pg_sys::Oid) -> ResultRows<'c> {
        // SAFETY: raises an error unless it is called as a function that returns a set; then resultinfo tells how. The
        // descriptor has as many columns as it says.
        unsafe {
            pg_sys::InitMaterializedSRF(self.0.as_ptr(), pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let result = NonNull::new_unchecked(self.base().resultinfo)
                .cast::<pg_sys::ReturnSetInfo>()
                .as_ref();
            let columns = pgrx::PgTupleDesc::from_pg_unchecked(result.setDesc);
            let first = columns.get(0).filter(|_| columns.len() == 1);
            if first.is_none_or(|column| column.atttypid != type_oid) {
                error::raise(
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    "a function of deskguard was declared with another result than it has",
                    "Declare it as CREATE EXTENSION does.",
                );
            }
            ResultRows { result, type_oid }
        }
    }
}

/// The rows that a call returns: a tuplestore holds work_mem of them in memory and the rest in a file.
#[derive(Clone, Copy)]
pub struct ResultRows<'c> {
    result: &'c pg_sys::ReturnSetInfo,
    type_oid: pg_sys::Oid,
}

impl ResultRows<'_> {
    /// Adds a row with a value of a type; with NULL, if the type is not that of the rows.
    ///
    /// # Safety
    /// The value is of the type.
    pub unsafe fn add(self, (type_oid, mut value): (pg_sys::Oid, pg_sys::Datum)) {
        let mut is_null = type_oid != self.type_oid;
        // SAFETY: a row of one column, of its type.
        unsafe {
            let (store, descriptor) = (self.result.setResult, self.result.setDesc);
            pg_sys::tuplestore_putvalues(store, descriptor, &raw mut value, &raw mut is_null);
        }
    }

    /// What adds the rows of a query, and raises an error if they are of another type.
    pub fn receiver(self) -> *mut pg_sys::DestReceiver {
        // SAFETY: as PL/pgSQL does for RETURN QUERY.
        unsafe {
            store_receiver(
                self.result.setResult,
                (*self.result.econtext).ecxt_per_query_memory,
                self.result.setDesc,
                false,
            )
        }
    }
}

/// What adds the rows of a query to a store, and raises an error if they are of another type. Detoasted, they need
/// nothing of the table that they come from.
///
/// # Safety
/// The store and the descriptor live as long as the receiver.
pub unsafe fn store_receiver(
    store: *mut pg_sys::Tuplestorestate,
    memory: pg_sys::MemoryContext,
    descriptor: pg_sys::TupleDesc,
    detoast: bool,
) -> *mut pg_sys::DestReceiver {
    // SAFETY: as the caller promises.
    unsafe {
        let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestTuplestore);
        #[allow(ffi_unwind_calls)] // Within the guard.
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            SetTuplestoreDestReceiverParams(
                receiver,
                store,
                memory,
                detoast,
                descriptor,
                c"a query of deskguard has another result than its function".as_ptr(),
            )
        });
        receiver
    }
}

unsafe extern "C-unwind" {
    /// Of executor/tstoreReceiver.h.
    fn SetTuplestoreDestReceiverParams(
        receiver: *mut pg_sys::DestReceiver,
        store: *mut pg_sys::Tuplestorestate,
        context: pg_sys::MemoryContext,
        detoast: bool,
        descriptor: pg_sys::TupleDesc,
        mismatch: *const c_char,
    );
}

/// Says how a function with this name is called that is written by hand, and not through pgrx, which takes several
/// times as long.
macro_rules! version_1 {
    ($function:ident) => {
        const _: () = {
            #[unsafe(export_name = concat!("pg_finfo_", stringify!($function)))]
            extern "C" fn info() -> &'static pgrx::pg_sys::Pg_finfo_record {
                const VERSION_1: pgrx::pg_sys::Pg_finfo_record =
                    pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
                &VERSION_1
            }
        };
    };
}
pub(crate) use version_1;
