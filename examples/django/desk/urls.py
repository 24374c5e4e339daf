"""Which page of the desk is where."""

from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("", views.tickets, name="tickets"),
    path("tickets/new/", views.new, name="new_ticket"),
    path("tickets/<int:number>/", views.ticket, name="ticket"),
    path("tickets/<int:number>/reply/", views.reply, name="reply"),
    path("tickets/<int:number>/work/", views.work, name="work"),
]
