"""The microservice chassis: it carries any event-sourced service and knows none of them."""
