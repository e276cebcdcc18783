SELECT max("timestamp") - INTERVAL '6 hours', max("timestamp") FROM signal_greeks
