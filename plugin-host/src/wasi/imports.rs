//! The functions themselves. Streams, errors and pollables need no table: each kind has one meaning,
//! so a handle's number is never looked at.

use wasmtime::StoreContextMut;
use wasmtime::component::{
    Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::VERSION;
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

/// Defines the neutral imports, and for everything else that `component` imports from allowed
/// interfaces a trap that says its name. The caller has checked the interfaces.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    io(linker)?;
    streams(&mut interface(linker, "wasi:io/streams")?)?;
    cli(linker)?;
    clocks(linker)?;
    random(linker)?;
    linker.define_unknown_imports_as_traps(component)
}

fn interface<'a>(
    linker: &'a mut Linker<State>,
    name: &str,
) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("{name}@{VERSION}"))
}

fn resource<T: 'static>(
    instance: &mut LinkerInstance<'_, State>,
    name: &str,
) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
}

fn io(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "wasi:io/error")?;
    resource::<IoError>(&mut error, "error")?;
    error.func_wrap(
        "[method]error.to-debug-string",
        |_: Context<'_>, (_,): (Resource<IoError>,)| Ok((String::new(),)),
    )?;
    let mut poll = interface(linker, "wasi:io/poll")?;
    resource::<Pollable>(&mut poll, "pollable")?;
    // Time stands still, so whatever a guest waits for has already come.
    poll.func_wrap("[method]pollable.ready", |_: Context<'_>, (_,): (Resource<Pollable>,)| {
        Ok((true,))
    })?;
    poll.func_wrap("[method]pollable.block", |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok(()))?;
    poll.func_wrap("poll", |_: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
        Ok(((0..u32::try_from(all.len())?).collect::<Vec<_>>(),))
    })
}

fn streams(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Input>(streams, "input-stream")?;
    resource::<Output>(streams, "output-stream")?;
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
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<Input>,)| Ok((Resource::<Pollable>::new_own(0),)),
    )?;
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

fn cli(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "wasi:cli/environment")?;
    environment.func_wrap("get-environment", |_: Context<'_>, (): ()| {
        Ok((Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |_: Context<'_>, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_: Context<'_>, (): ()| Ok((None::<String>,)))?;

    interface(linker, "wasi:cli/stdin")?
        .func_wrap("get-stdin", |_: Context<'_>, (): ()| Ok((Resource::<Input>::new_own(0),)))?;
    interface(linker, "wasi:cli/stdout")?
        .func_wrap("get-stdout", |_: Context<'_>, (): ()| Ok((Resource::<Output>::new_own(1),)))?;
    interface(linker, "wasi:cli/stderr")?
        .func_wrap("get-stderr", |_: Context<'_>, (): ()| Ok((Resource::<Output>::new_own(2),)))?;

    resource::<TerminalInput>(
        &mut interface(linker, "wasi:cli/terminal-input")?,
        "terminal-input",
    )?;
    resource::<TerminalOutput>(
        &mut interface(linker, "wasi:cli/terminal-output")?,
        "terminal-output",
    )?;
    interface(linker, "wasi:cli/terminal-stdin")?
        .func_wrap("get-terminal-stdin", |_: Context<'_>, (): ()| {
            Ok((None::<Resource<TerminalInput>>,))
        })?;
    for stream in ["stdout", "stderr"] {
        interface(linker, &format!("wasi:cli/terminal-{stream}"))?
            .func_wrap(&format!("get-terminal-{stream}"), |_: Context<'_>, (): ()| {
                Ok((None::<Resource<TerminalOutput>>,))
            })?;
    }
    // `wasi:cli/exit` is left to trap: a plugin that exits has failed.
    Ok(())
}

fn clocks(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut wall = interface(linker, "wasi:clocks/wall-clock")?;
    wall.func_wrap("now", |store: Context<'_>, (): ()| {
        let now = store.data().wasi.now;
        Ok((Datetime {
            seconds: u64::try_from(now.timestamp()).unwrap_or(0),
            nanoseconds: now.timestamp_subsec_nanos(),
        },))
    })?;
    wall.func_wrap("resolution", |_: Context<'_>, (): ()| {
        Ok((Datetime { seconds: 1, nanoseconds: 0 },))
    })?;
    let mut monotonic = interface(linker, "wasi:clocks/monotonic-clock")?;
    monotonic.func_wrap("now", |_: Context<'_>, (): ()| Ok((0_u64,)))?;
    monotonic.func_wrap("resolution", |_: Context<'_>, (): ()| Ok((1_000_000_000_u64,)))?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        monotonic.func_wrap(name, |_: Context<'_>, (_,): (u64,)| {
            Ok((Resource::<Pollable>::new_own(0),))
        })?;
    }
    Ok(())
}

fn random(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut random = interface(linker, "wasi:random/random")?;
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
    })?;
    let name = "insecure-seed";
    interface(linker, "wasi:random/insecure-seed")?.func_wrap(
        name,
        |mut store: Context<'_>, (): ()| {
            let neutral = &mut store.data_mut().wasi;
            Ok(((neutral.next_random(), neutral.next_random()),))
        },
    )
}
