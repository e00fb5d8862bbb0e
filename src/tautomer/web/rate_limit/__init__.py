"""Rate limits: who has asked how often, kept in this process or in a store that several share."""
