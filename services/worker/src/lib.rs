//! The lease loop for whoever runs tasks.
