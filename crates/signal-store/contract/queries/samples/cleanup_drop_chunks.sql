SELECT 'signal_greeks', now()
