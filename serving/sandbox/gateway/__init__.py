"""The gateway: who may call which app, directly, through the queue, as a stream."""
