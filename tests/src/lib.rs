//! What the scenarios share: the bed, packages for upgrades, victims, and the sources as text.

pub mod acceptance;
pub mod bed;
pub mod counted;
pub mod debian;
pub mod echo;
pub mod fixture;
pub mod hostile;
pub mod load;
pub mod machine;
pub mod manual;
pub mod packages;
pub mod pacman;
pub mod peers;
pub mod place;
pub mod probes;
pub mod rpm;
pub mod run;
pub mod services;
pub mod skip;
pub mod source;
pub mod states;
pub mod suite;
pub mod tools;
pub mod truth;
pub mod upgrade;
pub mod victim;
