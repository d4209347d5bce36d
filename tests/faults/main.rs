//! What a mesh of real processes does when something fails under load: nothing acknowledged is lost, clients recover by
//! themselves, and each test prints how long that took. PostgreSQL and Consul are real; every part runs twice.

mod checked;
mod consul;
mod killed;
mod load;
mod partition;
mod paused;
mod rolling;
mod stage;
