//! Transcripts of the command: what was typed, how it ended, what it said.

mod account;
mod audit;
mod book;
mod contact;
mod database;
mod delivery;
mod enrollment;
mod manual;
mod operation;
mod plugin;
mod plugin_logs;
mod prompt;
mod removal;
mod requeue;
mod route;
mod session;
mod terminal;
mod token_server;
mod tutorial;
mod usage;
mod workflow;
