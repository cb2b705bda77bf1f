//! What hostile guests try with memory, time, fuel, stack and output, and where they end.
