//! The columns of the roll-up tables, named once: struct, statements and sums are made of this list.

/// Hands every plain figure to `$callback`.
macro_rules! for_figures {
    ($callback:ident $(, $arg:expr)*) => {
        $callback! {
            [$($arg),*]
            /// Calls that reached the limiter.
            calls;
            /// Refused for RPM or RPS.
            refused_requests;
            /// Refused for TPM or TPS.
            refused_tokens;
            /// Refused as a surge.
            refused_surge;
            /// Answered by the provider with 4xx.
            upstream_4xx;
            /// Answered by the provider with 5xx.
            upstream_5xx;
            /// Ended by the gateway with 502 or 503: the provider, or the store of the limits, was out of reach.
            unreachable;
            /// Streams that broke off.
            broken;
            /// Ended by the gateway with 504.
            timed_out;
            /// Ended by the client; no failures.
            hung_up;
            /// Settled without a count of the provider.
            estimated;
            /// Run on the backup model in the end.
            fell_back;
            /// Prompt tokens.
            tokens_prompt;
            /// Output tokens.
            tokens_output;
            /// Tokens in all.
            tokens_total;
            /// Sum of the latencies of calls answered to the end, in µs.
            latency_sum_us;
            /// Calls answered to the end.
            latency_count;
            /// Sum of the times to the first token, in µs.
            ttft_sum_us;
            /// Streams that had a first token.
            ttft_count;
        }
    };
}

/// Hands every histogram column to `$callback`, latency first.
macro_rules! for_buckets {
    ($callback:ident $(, $arg:expr)*) => {
        $callback! {
            [$($arg),*]
            latency_00; latency_01; latency_02; latency_03; latency_04; latency_05;
            latency_06; latency_07; latency_08; latency_09; latency_10; latency_11;
            latency_12; latency_13; latency_14; latency_15; latency_16; latency_17;
            latency_18; latency_19; latency_20; latency_21; latency_22; latency_23;
            latency_24; latency_25; latency_26; latency_27;
            ttft_00; ttft_01; ttft_02; ttft_03; ttft_04; ttft_05; ttft_06; ttft_07;
            ttft_08; ttft_09; ttft_10; ttft_11; ttft_12; ttft_13; ttft_14; ttft_15;
            ttft_16; ttft_17; ttft_18; ttft_19; ttft_20; ttft_21; ttft_22; ttft_23;
            ttft_24; ttft_25; ttft_26; ttft_27;
        }
    };
}
