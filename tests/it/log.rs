//! What a person reads about connections: the terminal, and the story that `latchkey why` tells from the log.

mod terminal;
mod why;
