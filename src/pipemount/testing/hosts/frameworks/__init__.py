"""The hosts: a module for each framework, loaded only where that framework is asked for."""
