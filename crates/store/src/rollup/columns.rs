//! The columns of the roll-up tables, named once: struct, statements and sums are made of this list.
//! Numbers are those of the placeholders in the upsert; `$1` to `$3` are series, instant and first call.

/// Hands every plain figure to `$callback`.
macro_rules! for_figures {
    ($callback:ident $(, $arg:expr)*) => {
        $callback! {
            [$($arg),*]
            /// Calls that reached the limiter.
            4 calls;
            /// Refused for RPM or RPS.
            5 refused_requests;
            /// Refused for TPM or TPS.
            6 refused_tokens;
            /// Refused as a surge.
            7 refused_surge;
            /// Answered by the provider with 4xx.
            8 upstream_4xx;
            /// Answered by the provider with 5xx.
            9 upstream_5xx;
            /// Ended by the gateway with 502 or 503: the provider, or the store of the limits, was out of reach.
            10 unreachable;
            /// Streams that broke off.
            11 broken;
            /// Ended by the gateway with 504.
            12 timed_out;
            /// Ended by the client; no failures.
            13 hung_up;
            /// Settled without a count of the provider.
            14 estimated;
            /// Run on the backup model in the end.
            15 fell_back;
            /// Prompt tokens.
            16 tokens_prompt;
            /// Output tokens.
            17 tokens_output;
            /// Tokens in all.
            18 tokens_total;
            /// Sum of the latencies of calls answered to the end, in µs.
            19 latency_sum_us;
            /// Calls answered to the end.
            20 latency_count;
            /// Sum of the times to the first token, in µs.
            21 ttft_sum_us;
            /// Streams that had a first token.
            22 ttft_count;
        }
    };
}

/// Hands every histogram column to `$callback`, latency first.
macro_rules! for_buckets {
    ($callback:ident $(, $arg:expr)*) => {
        $callback! {
            [$($arg),*]
            23 latency_00; 24 latency_01; 25 latency_02; 26 latency_03; 27 latency_04; 28 latency_05;
            29 latency_06; 30 latency_07; 31 latency_08; 32 latency_09; 33 latency_10; 34 latency_11;
            35 latency_12; 36 latency_13; 37 latency_14; 38 latency_15; 39 latency_16; 40 latency_17;
            41 latency_18; 42 latency_19; 43 latency_20; 44 latency_21; 45 latency_22; 46 latency_23;
            47 latency_24; 48 latency_25; 49 latency_26; 50 latency_27;
            51 ttft_00; 52 ttft_01; 53 ttft_02; 54 ttft_03; 55 ttft_04; 56 ttft_05; 57 ttft_06; 58 ttft_07;
            59 ttft_08; 60 ttft_09; 61 ttft_10; 62 ttft_11; 63 ttft_12; 64 ttft_13; 65 ttft_14; 66 ttft_15;
            67 ttft_16; 68 ttft_17; 69 ttft_18; 70 ttft_19; 71 ttft_20; 72 ttft_21; 73 ttft_22; 74 ttft_23;
            75 ttft_24; 76 ttft_25; 77 ttft_26; 78 ttft_27;
        }
    };
}
