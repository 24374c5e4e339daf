"""The support desk: tickets, replies, and who may do what."""
