//! The functions themselves. Streams, errors and pollables need no table: each kind has one meaning,
//! so a handle's number is never looked at.

use wasmtime::StoreContextMut;
use wasmtime::component::{
    Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use crate::state::State;

/// `wasi:io/error.error`.
struct IoError;
/// `wasi:io/poll.pollable`.
struct Pollable;
/// `wasi:io/streams.input-stream`.
struct Input;
/// `wasi:io/streams.output-stream`.
struct Output;
/// `wasi:cli/terminal-input.terminal-input`. There is none.
struct TerminalInput;
/// `wasi:cli/terminal-output.terminal-output`. There is none.
struct TerminalOutput;

/// `wasi:io/streams.stream-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// `wasi:clocks/wall-clock.datetime`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// How much a guest may print at a time.
const WRITABLE: u64 = 4096;

/// How many random bytes a guest may ask for at a time.
const MOST_RANDOM: u64 = 64 * 1024;

type Context<'a> = StoreContextMut<'a, State>;

/// Defines the neutral imports under the very versions that `component` asks for, and for everything
/// else in its imports a trap that says its name. The caller has checked the interfaces.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, _) in component.component_type().imports(component.engine()) {
        let Some((interface, _)) = name.split_once('@') else { continue };
        let instance = &mut linker.instance(name)?;
        match interface {
            "wasi:cli/environment" => environment(instance)?,
            "wasi:cli/stdin" => handle::<Input>(instance, "input-stream", "get-stdin")?,
            "wasi:cli/stdout" => handle::<Output>(instance, "output-stream", "get-stdout")?,
            "wasi:cli/stderr" => handle::<Output>(instance, "output-stream", "get-stderr")?,
            "wasi:cli/terminal-input" => resource::<TerminalInput>(instance, "terminal-input")?,
            "wasi:cli/terminal-output" => resource::<TerminalOutput>(instance, "terminal-output")?,
            "wasi:cli/terminal-stdin" => {
                no_terminal::<TerminalInput>(instance, "terminal-input", "get-terminal-stdin")?;
            }
            "wasi:cli/terminal-stdout" => {
                no_terminal::<TerminalOutput>(instance, "terminal-output", "get-terminal-stdout")?;
            }
            "wasi:cli/terminal-stderr" => {
                no_terminal::<TerminalOutput>(instance, "terminal-output", "get-terminal-stderr")?;
            }
            "wasi:clocks/monotonic-clock" => monotonic_clock(instance)?,
            "wasi:clocks/wall-clock" => wall_clock(instance)?,
            "wasi:io/error" => io_error(instance)?,
            "wasi:io/poll" => poll(instance)?,
            "wasi:io/streams" => {
                resource::<IoError>(instance, "error")?;
                resource::<Pollable>(instance, "pollable")?;
                input(instance)?;
                output(instance)?;
            }
            "wasi:random/insecure-seed" => insecure_seed(instance)?,
            "wasi:random/random" => random(instance)?,
            // `wasi:cli/exit` is left to trap: a plugin that exits has failed.
            _ => {}
        }
    }
    linker.define_unknown_imports_as_traps(component)
}

fn resource<T: 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
}

fn io_error(error: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<IoError>(error, "error")?;
    error
        .func_wrap("[method]error.to-debug-string", |_: Context<'_>, (_,): (Resource<IoError>,)| {
            Ok((String::new(),))
        })
}

/// Time stands still, so whatever a guest waits for has already come.
fn poll(poll: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Pollable>(poll, "pollable")?;
    poll.func_wrap("[method]pollable.ready", |_: Context<'_>, (_,): (Resource<Pollable>,)| {
        Ok((true,))
    })?;
    poll.func_wrap("[method]pollable.block", |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok(()))?;
    poll.func_wrap("poll", |_: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
        Ok(((0..u32::try_from(all.len())?).collect::<Vec<_>>(),))
    })
}

/// Input is at its end.
fn input(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Input>(streams, "input-stream")?;
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        streams.func_wrap(name, |_: Context<'_>, (_, _): (Resource<Input>, u64)| {
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for name in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        streams.func_wrap(name, |_: Context<'_>, (_, _): (Resource<Input>, u64)| {
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    streams
        .func_wrap("[method]input-stream.subscribe", |_: Context<'_>, (_,): (Resource<Input>,)| {
            Ok((Resource::<Pollable>::new_own(0),))
        })
}

/// The end of what is printed is kept.
fn output(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Output>(streams, "output-stream")?;
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<Output>,)| Ok((Resource::<Pollable>::new_own(0),)),
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |_: Context<'_>, (_,): (Resource<Output>,)| Ok((Ok::<u64, StreamError>(WRITABLE),)),
    )?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        streams.func_wrap(
            name,
            |mut store: Context<'_>, (_, bytes): (Resource<Output>, Vec<u8>)| {
                store.data_mut().wasi.printed.write(&bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        streams.func_wrap(name, |_: Context<'_>, (_,): (Resource<Output>,)| {
            Ok((Ok::<(), StreamError>(()),))
        })?;
    }
    Ok(())
}

fn environment(environment: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    environment.func_wrap("get-environment", |_: Context<'_>, (): ()| {
        Ok((Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |_: Context<'_>, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_: Context<'_>, (): ()| Ok((None::<String>,)))
}

/// A function that gives a handle. An interface that uses another's resource names it too.
fn handle<T: 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
    function: &str,
) -> wasmtime::Result<()> {
    resource::<T>(instance, name)?;
    instance.func_wrap(function, |_: Context<'_>, (): ()| Ok((Resource::<T>::new_own(0),)))
}

fn no_terminal<T: 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
    function: &str,
) -> wasmtime::Result<()> {
    resource::<T>(instance, name)?;
    instance.func_wrap(function, |_: Context<'_>, (): ()| Ok((None::<Resource<T>>,)))
}

fn wall_clock(clock: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    clock.func_wrap("now", |store: Context<'_>, (): ()| {
        let now = store.data().wasi.now;
        Ok((Datetime {
            seconds: u64::try_from(now.timestamp()).unwrap_or(0),
            nanoseconds: now.timestamp_subsec_nanos(),
        },))
    })?;
    clock.func_wrap("resolution", |_: Context<'_>, (): ()| {
        Ok((Datetime { seconds: 1, nanoseconds: 0 },))
    })
}

fn monotonic_clock(clock: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Pollable>(clock, "pollable")?;
    clock.func_wrap("now", |_: Context<'_>, (): ()| Ok((0_u64,)))?;
    clock.func_wrap("resolution", |_: Context<'_>, (): ()| Ok((1_000_000_000_u64,)))?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        clock.func_wrap(name, |_: Context<'_>, (_,): (u64,)| {
            Ok((Resource::<Pollable>::new_own(0),))
        })?;
    }
    Ok(())
}

fn random(random: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    random.func_wrap("get-random-u64", |mut store: Context<'_>, (): ()| {
        Ok((store.data_mut().wasi.next_random(),))
    })?;
    random.func_wrap("get-random-bytes", |mut store: Context<'_>, (length,): (u64,)| {
        wasmtime::ensure!(length <= MOST_RANDOM, "asked for {length} random bytes");
        let length = usize::try_from(length)?;
        let neutral = &mut store.data_mut().wasi;
        let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(neutral.next_random().to_le_bytes());
        }
        bytes.truncate(length);
        Ok((bytes,))
    })
}

fn insecure_seed(random: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    random.func_wrap("insecure-seed", |mut store: Context<'_>, (): ()| {
        let neutral = &mut store.data_mut().wasi;
        Ok(((neutral.next_random(), neutral.next_random()),))
    })
}
