//! Every setting once: options as typed become the configuration as used.
